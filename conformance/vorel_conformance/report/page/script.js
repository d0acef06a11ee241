"use strict";
(() => {
  const form = document.querySelector(".filters");
  const clauses = [...document.querySelectorAll("details.clause")];
  const texts = new Map(clauses.map((clause) => [
    clause,
    [clause.id, clause.querySelector(".title").textContent, clause.querySelector("blockquote").textContent].join(" ").toLowerCase(),
  ]));

  const filter = () => {
    const chosen = (name) => new Set([...form.querySelectorAll(`[name=${name}]:checked`)].map((box) => box.value));
    const status = chosen("status"), level = chosen("level");
    const group = form.elements.group.value, words = form.elements.text.value.toLowerCase().split(/\s+/);
    let shown = 0;
    for (const clause of clauses) {
      const data = clause.dataset;
      const fits = status.has(data.status) && level.has(data.level) && (!group || group === data.group)
        && words.every((word) => texts.get(clause).includes(word));
      clause.hidden = !fits;
      shown += fits;
    }
    form.querySelector("output").textContent = shown === clauses.length ? "" : `${shown} of ${clauses.length} shown`;
    document.getElementById("nothing").hidden = shown > 0;
  };
  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("click", (event) => {
    if ("fold" in event.target.dataset) clauses.forEach((clause) => { clause.open = event.target.dataset.fold === "open"; });
  });

  // A link to a clause shows it, even if it is collapsed or filtered.
  const reveal = () => {
    const clause = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!clause || !texts.has(clause)) return;
    if (clause.hidden) { form.reset(); filter(); }
    clause.open = true;
    clause.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  reveal();

  for (const button of document.querySelectorAll(".copy")) {
    if (!navigator.clipboard) break;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }

  // For printing, expand the clauses that have not passed: paper cannot be expanded.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")].filter((each) => each.closest(".clause:not(.s-passed)"));
    folded.forEach((each) => { each.open = true; });
  });
  addEventListener("afterprint", () => { folded.forEach((each) => { each.open = false; }); });
})();
