"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);

  // Elements: make("td.num", {title: "x"}, "text", child, ...)
  function make(kind, attributes, ...children) {
    const [tag, ...classes] = kind.split(".");
    const node = document.createElement(tag);
    if (classes.length) node.className = classes.join(" ");
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name === "onclick") node.addEventListener("click", value);
      else if (name === "width") node.style.width = value;
      else node.setAttribute(name, value);
    }
    for (const child of children) if (child !== null && child !== undefined) node.append(child);
    return node;
  }

  const visible = (text) => text.replaceAll("\n", "\u21b5").replaceAll("\t", "\u21e5");
  const quoted = (text) => (text === "" ? "(nothing)" : "\u201c" + visible(text) + "\u201d");
  const probability = (logprob) => (logprob === null ? 0 : Math.exp(logprob));
  function percent(p) {
    if (p >= 0.9995) return "100%";
    if (p >= 0.001) return (100 * p).toFixed(1) + "%";
    return p === 0 ? "0" : p.toExponential(1);
  }
  const nats = (value) => (value === null ? "\u2212\u221e" : value.toFixed(3));
  function shade(p) {
    const steps = [0.05, 0.3, 0.7, 0.95];
    return "p" + steps.filter((step) => p >= step).length;
  }

  // Head

  function showHead() {
    const best = data.results[0];
    const facts = [
      `model ${data.model}`, `decoder ${data.decoder}`, `${data.results.length} result${data.results.length > 1 ? "s" : ""}`,
      `${best.usage["forward passes"]} forward passes`, `${data.questions.length} questions to the model`,
    ];
    byId("head").append(make("h1", null, data.name), make("p", null, facts.join(" \u00b7 ")));
    byId("program").textContent = data.source;
  }

  // The prompt of one result

  let shownToken = null;

  function tokenNode(token) {
    if (token.kind === "best") {
      const title = `the likeliest of its values: ${percent(token.share)} of them`;
      return make(`span.token.${shade(token.share)}`, { title }, token.text);
    }
    if (token.question === undefined) {
      const why = { forced: "forced: the model was not asked", given: "forced, or given by a query" };
      return make("span.token.forced", { title: why[token.kind] }, token.text);
    }
    const p = probability(token.logprob);
    const ends = token.kind === "end";
    const node = make(
      `button.token.${shade(p)}${ends ? ".end" : ""}`,
      {
        type: "button", "data-question": token.question,
        title: `${ends ? "end of the hole" : visible(token.spelled)}: ${percent(p)}`,
        onclick: () => showMask(token.question, node),
      },
      ends ? "\u25a0" : token.text,
    );
    if (!ends && !token.text && !token.back) node.append(make("span.end", null, "\u00b7"));
    if (token.back) node.append(make("s", { title: "taken back" }, visible(token.back)));
    return node;
  }

  function partNode(part) {
    if (part.hole === undefined) return document.createTextNode(part.text);
    const title = part.gone ? { title: "of a nested query; its text left the prompt" } : {};
    return make(`span.hole${part.gone ? ".gone" : ""}`, { "data-hole": part.hole, ...title },
      make("span.name", null, part.hole), ...part.tokens.map(tokenNode));
  }

  function showResult(number) {
    const result = data.results[number];
    byId("prompt").replaceChildren(...result.parts.map(partNode));
    for (const button of byId("results").children) {
      button.setAttribute("aria-pressed", String(Number(button.dataset.result) === number));
    }
    const rows = [["status", result.status], ["log p", nats(result.logprob)]];
    if (result.value !== null) rows.push(["returned", result.value]);
    rows.push(...Object.entries(result.variables));
    for (const [name, shares] of Object.entries(result.distributions)) {
      const said = Object.entries(shares).map(([value, p]) => `${quoted(value)} ${percent(p)}`);
      rows.push([`distribution of ${name}`, said.join(", ")]);
    }
    rows.push(["tokens", ["prompt", "generated", "forced"].map((kind) => `${result.usage[kind + " tokens"]} ${kind}`).join(", ")]);
    byId("values").replaceChildren(...rows.flatMap(([name, value]) => [make("dt", null, name), make("dd", null, value)]));
    const first = byId("prompt").querySelector("button.token");
    if (first) first.click();
    else showNothing();
  }

  function showResults() {
    if (data.results.length < 2) return;
    data.results.forEach((result, number) => {
      const label = `${number + 1}: ${result.status === "complete" ? "" : result.status + ", "}log p ${nats(result.logprob)}`;
      byId("results").append(make("button", { type: "button", "data-result": number, onclick: () => showResult(number) }, label));
    });
  }

  // What a mask allowed

  function candidateRows(candidates, taken) {
    return candidates.map((candidate) => {
      const p = probability(candidate.logprob);
      const text = candidate.id < 0 ? "end of the hole" : quoted(candidate.text);
      const kind = candidate.ok ? (candidate.id === taken ? "tr.taken" : "tr") : "tr.no";
      return make(kind, null, make("td.code", null, text), make("td.num", null, percent(p)),
        make("td.bar", null, make("i", { width: Math.max(0.5, 100 * p) + "%" })));
    });
  }

  function showMask(number, node) {
    const question = data.questions[number];
    if (shownToken) shownToken.classList.remove("chosen-now");
    shownToken = node || null;
    if (node) node.classList.add("chosen-now");
    const forbidden = question.wanted.filter((candidate) => !candidate.ok);
    const conditions = question.conditions.map((text) => make("li.code", null, text));
    byId("mask").replaceChildren(
      make("h2", null, "Mask"),
      make("p", null, make("b", null, question.hole), ` (line ${question.line}) behind `, make("span.code", null, quoted(question.so_far))),
      make("p", { id: "mask-count" }, make("b", null, `${question.allowed} of ${question.tokens} tokens`),
        question.can_end ? " and the end of the hole were allowed; " : " were allowed; ",
        `the model gave them ${percent(question.mass)}.`),
      conditions.length ? make("ul", null, ...conditions) : make("p.dim", null, "The hole has no conditions."),
      make("h3", null, "Likeliest that were allowed"),
      make("table", { id: "mask-allowed" }, ...candidateRows(question.candidates)),
      make("h3", null, "What the model wanted and could not have"),
      forbidden.length ? make("table", { id: "mask-forbidden" }, ...candidateRows(forbidden)) : make("p.dim", null, "Nothing: its favourites were all allowed."),
      make("h3", null, "Some of the allowed tokens"),
      make("div.chips.code", { id: "mask-sample" }, ...question.sample.map((text) => make("span", null, quoted(text)))),
    );
  }

  function showNothing() {
    byId("mask").replaceChildren(make("h2", null, "Mask"), make("p.dim", null, "The model was not asked for this result."));
  }

  // Hypotheses

  function showTree() {
    if (!data.tree.length) {
      byId("tree").append(make("p.dim", null, "The model was never asked."));
      return;
    }
    const lists = new Map();
    const root = make("ul");
    const hasChildren = new Set(data.tree.map((branch) => branch.parent));
    data.tree.forEach((branch, number) => {
      const kept = branch.result !== null;
      const status = branch.status ? make(branch.status === "complete" ? "span.good" : "span.dim", null, ` ${branch.status}, log p ${nats(branch.total)}`) : null;
      const label = make("span.row", null, make("span.code", null, quoted(branch.text)), ` ${percent(probability(branch.logprob))}`,
        make("span.dim", null, branch.choices > 1 ? ` in ${branch.choices} choices` : ""), status,
        kept && branch.status ? make("button.link", { type: "button", onclick: () => showResult(branch.result) }, `result ${branch.result + 1}`) : null);
      const item = make(`li${kept ? ".kept" : ""}${branch.status === "dropped" ? ".dropped" : ""}`);
      if (hasChildren.has(number)) {
        const list = make("ul");
        lists.set(number, list);
        item.append(make("details", { open: "" }, make("summary.row", null, label), list));
      } else item.append(label);
      (branch.parent === null ? root : lists.get(branch.parent)).append(item);
    });
    byId("tree").append(root);
  }

  // Times

  function rectangle(kind, x, width, y, height, title) {
    const space = "http://www.w3.org/2000/svg";
    const node = document.createElementNS(space, "rect");
    for (const [name, value] of Object.entries({ class: kind, x, y, width, height })) node.setAttribute(name, value);
    const label = document.createElementNS(space, "title");
    label.textContent = title;
    node.append(label);
    return node;
  }

  function showTime() {
    const rounds = data.rounds;
    const sum = (name) => rounds.reduce((total, round) => total + round[name], 0);
    const total = sum("all");
    const rest = Math.max(0, total - sum("model") - sum("mask"));
    const ms = (seconds) => (1000 * seconds).toFixed(seconds < 0.01 ? 2 : 0) + " ms";
    const key = make("p.key.dim", { id: "time-total" }, `${ms(total)} in ${sum("passes")} passes`,
      make("i.model"), `model ${ms(sum("model"))}`, make("i.masks"), `masks ${ms(sum("mask"))}`, make("i.rest"), `rest ${ms(rest)}`);
    byId("time").append(key);
    if (!rounds.length) return;
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const highest = Math.max(...rounds.map((round) => round.all), 1e-9);
    svg.setAttribute("viewBox", `0 0 ${rounds.length} 100`);
    svg.setAttribute("preserveAspectRatio", "none");
    rounds.forEach((round, at) => {
      const name = round.first === round.last ? `round ${round.first + 1}` : `rounds ${round.first + 1} to ${round.last + 1}`;
      const title = `${name}: ${round.rows} rows, ${ms(round.all)}, model ${ms(round.model)}, masks ${ms(round.mask)}`;
      let floor = 100;
      for (const [kind, seconds] of [["model", round.model], ["masks", round.mask], ["rest", Math.max(0, round.all - round.model - round.mask)]]) {
        const height = (96 * seconds) / highest;
        floor -= height;
        svg.append(rectangle(kind, at + 0.05, 0.9, floor, height, title));
      }
    });
    byId("time").append(svg);
  }

  showHead();
  showResults();
  showTree();
  showTime();
  showResult(0);
  document.body.dataset.ready = "yes";
})();
