//! Facts of the model put into the words of the contract with policies.
