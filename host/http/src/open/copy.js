// Copy buttons, for what is meant to be copied:
//
//   <div class="copyable" data-copy="the command for twine"><pre><code>…</code></pre></div>
//
// A button is on the page only where it works: everything can be selected and copied without it.
// On a page that shows a new token, <token> in a command stands for it, and is it once copied.
"use strict";

(() => {
  if (!window.isSecureContext || !navigator.clipboard) return;
  const PLACEHOLDER = "<token>";
  const SHOWN_MS = 3000;
  const token = document.querySelector("#token")?.textContent.trim();

  const copied = (source) => {
    const text = source.textContent.trim();
    // A key is shown in groups, which nothing but eyes needs.
    if (source.classList.contains("secret")) return text.replace(/\s+/g, "");
    return token ? text.replaceAll(PLACEHOLDER, token) : text;
  };

  const element = (name, className, text) => {
    const made = document.createElement(name);
    made.className = className;
    made.textContent = text;
    return made;
  };

  const prepare = (place) => {
    const source = place.querySelector("pre, code");
    const usual = token && source.textContent.includes(PLACEHOLDER) ? "Copy with token" : "Copy";
    const button = element("button", "button small", "");
    button.type = "button";
    const shown = element("span", "", usual);
    button.append(shown, element("span", "hidden", ` (${place.dataset.copy})`));
    const status = element("span", "hidden", "");
    status.setAttribute("role", "status");
    let waiting;
    const say = (short, long) => {
      clearTimeout(waiting);
      shown.textContent = short;
      status.textContent = long;
      waiting = setTimeout(() => {
        shown.textContent = usual;
        status.textContent = "";
      }, SHOWN_MS);
    };
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(copied(source));
        say("Copied", "Copied.");
      } catch {
        // The person or the browser does not want it: one step less is left to do.
        getSelection().selectAllChildren(source);
        say("Selected", "Not copied. The text is selected: copy it with your keyboard.");
      }
    });
    place.append(button, status);
  };

  document.querySelectorAll(".copyable").forEach(prepare);
})();
