// Security keys and passkeys, for forms that say so:
//
//   <form hidden data-webauthn="create|get" data-options="…" method="post" action="…">
//     <input type="hidden" name="ceremony"> <input type="hidden" name="response">
//     <button type="submit" data-webauthn-start disabled>…</button>
//     <p role="status" data-webauthn-status></p>
//   </form>
//
// A press of the button asks `data-options` for a challenge, the browser for an answer to
// it, and sends both with the form. Everything that decides is on the server. The form is shown
// where this works, so that nobody fills in what cannot be sent.
"use strict";

(() => {
  const available = Boolean(window.isSecureContext && window.PublicKeyCredential && navigator.credentials && navigator.credentials.create);

  const toBytes = (text) => {
    const binary = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
    return Uint8Array.from(binary, (character) => character.charCodeAt(0));
  };

  const toText = (buffer) => {
    let binary = "";
    for (const byte of new Uint8Array(buffer)) binary += String.fromCharCode(byte);
    return btoa(binary).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  };

  // The browsers' own parse…FromJSON are younger than the devices that people log in with.
  const parsed = (options) => {
    const withBytes = (known) => ({ ...known, id: toBytes(known.id) });
    const result = { ...options, challenge: toBytes(options.challenge) };
    if (options.user) result.user = withBytes(options.user);
    if (options.excludeCredentials) result.excludeCredentials = options.excludeCredentials.map(withBytes);
    if (options.allowCredentials) result.allowCredentials = options.allowCredentials.map(withBytes);
    return result;
  };

  const written = (credential) => {
    const { response } = credential;
    const answer = { clientDataJSON: toText(response.clientDataJSON) };
    if (response.attestationObject) {
      answer.attestationObject = toText(response.attestationObject);
      answer.transports = response.getTransports ? response.getTransports() : [];
    } else {
      answer.authenticatorData = toText(response.authenticatorData);
      answer.signature = toText(response.signature);
      answer.userHandle = response.userHandle ? toText(response.userHandle) : null;
    }
    return {
      id: credential.id,
      rawId: toText(credential.rawId),
      type: credential.type,
      authenticatorAttachment: credential.authenticatorAttachment || null,
      response: answer,
      clientExtensionResults: credential.getClientExtensionResults(),
    };
  };

  const explained = (error) => {
    switch (error.name) {
      case "NotAllowedError":
        return "That did not work: it was cancelled, took too long, or no key that fits was found. You can try again.";
      case "InvalidStateError":
        return "This key is already added to your account.";
      case "SecurityError":
        return "Keys do not work at this address. Open the registry at the address its operators gave you.";
      case "NotSupportedError":
      case "ConstraintError":
        return "This key cannot do what is needed here. Try another one.";
      case "TypeError":
        return "The registry could not be reached. Check your connection and try again.";
      default:
        return `That did not work (${error.name}). You can try again.`;
    }
  };

  const challenge = async (form) => {
    const answer = await fetch(form.dataset.options, {
      method: "POST",
      credentials: "same-origin",
      redirect: "error",
      headers: { Accept: "application/json" },
      body: new URLSearchParams(new FormData(form)),
    });
    const value = await answer.json().catch(() => ({}));
    return { ok: answer.ok, ...value };
  };

  const prepare = (form) => {
    const button = form.querySelector("[data-webauthn-start]");
    const status = form.querySelector("[data-webauthn-status]");
    if (!available) {
      const told = document.createElement("p");
      told.textContent = "This browser cannot use security keys or passkeys here.";
      form.before(told);
      return;
    }
    let busy = false;

    const run = async () => {
      status.textContent = "Asking the registry …";
      const { ok, ceremony, options, requirements, message } = await challenge(form);
      if (!ok && Array.isArray(requirements) && requirements.length > 0) {
        // Something must be proven first: the page behind the form asks for it.
        HTMLFormElement.prototype.submit.call(form);
        return;
      }
      if (!ok || !options) {
        status.textContent = message || "The registry did not answer as expected. Try again in a moment.";
        return;
      }
      status.textContent = "Follow what your browser or your key asks you to do.";
      const publicKey = parsed(options);
      const credential = form.dataset.webauthn === "create" ? await navigator.credentials.create({ publicKey }) : await navigator.credentials.get({ publicKey });
      form.elements.namedItem("ceremony").value = ceremony;
      form.elements.namedItem("response").value = JSON.stringify(written(credential));
      status.textContent = "Checking …";
      HTMLFormElement.prototype.submit.call(form);
    };

    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (busy) return;
      busy = true;
      run()
        .catch((error) => {
          status.textContent = explained(error);
        })
        .finally(() => {
          busy = false;
        });
    });

    // Back from another page: what was filled in belongs to a challenge that is spent.
    window.addEventListener("pageshow", () => {
      form.elements.namedItem("ceremony").value = "";
      form.elements.namedItem("response").value = "";
      status.textContent = "";
    });
    button.disabled = false;
    form.hidden = false;
    // While the form was hidden, the browser could not do that itself.
    form.querySelector("[autofocus]")?.focus();
  };

  document.querySelectorAll("form[data-webauthn]").forEach(prepare);
})();
