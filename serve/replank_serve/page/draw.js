// Answers as elements: labels as bars, passages by rank, words with their labels, vectors, tokens, timings.

import { make, terms } from "/page/dom.js";

const one_or_many = (body, many) => (many ? body : [body]);

// How to show the answers of each route: `answers` takes a response apart into one answer per text, `draw` makes an
// element of an answer to a text, of a task, `decision` is the part of it on which two models agree or not, if they
// decide anything, and `together` makes an element of the answers to several texts, where they say something together.
export const views = {
  "/predict": { answers: one_or_many, draw: bars, decision: held },
  "/ner": { answers: one_or_many, draw: entities, decision: ({ words }) => words.map((word) => word.label).join(" ") },
  "/embed": { answers: (body) => body, draw: vector, together: similarities },
  "/fill-mask": { answers: one_or_many, draw: fillings, decision: (masks) => masks.map(([best]) => best.token).join(" ") },
  "/rerank": { answers: (body) => [body], draw: ranking, decision: (ranked) => ranked.map(({ index }) => index).join(" ") },
};

const severalMayHold = (scores) => "holds" in scores[0];

function held(scores) {
  if (!severalMayHold(scores)) return scores[0].label;
  return scores.filter(({ holds }) => holds).map(({ label }) => label).sort().join(", ");
}

function bars(scores, text, { thresholds }) {
  const list = make("ul", "bars");
  const several = severalMayHold(scores);
  list.append(...scores.map((score, rank) => bar(score, several ? score.holds : rank === 0, thresholds?.[score.label])));
  if (!several) return list;
  const holds = held(scores);
  return make("div", "", make("p", "quiet", holds ? `Holds: ${holds}.` : "None of the labels holds."), list);
}

// A threshold is marked on its bar, and told to those who do not see it.
function bar({ label, score }, best, threshold) {
  const row = make("li", best ? "best" : "");
  const isNumber = score < 0 || score > 1 || label === "value";
  const shown = isNumber ? score.toFixed(3) : `${(100 * score).toFixed(1)} %`;
  row.append(make("span", "label", label), make("span", "score", shown));
  if (!isNumber) {
    const filled = make("span", "filled");
    filled.style.width = `${100 * score}%`;
    const track = make("span", "track", filled);
    track.setAttribute("aria-hidden", "true");
    if (threshold !== undefined) {
      const mark = make("span", "threshold");
      mark.style.left = `${100 * threshold}%`;
      track.append(mark);
      row.title = `${label} holds from ${(100 * threshold).toFixed(0)} % on`;
    }
    row.append(track);
  }
  return row;
}

// Of each mask the likeliest tokens.
function fillings(masks) {
  const lists = masks.map((found) => {
    const list = make("ul", "bars");
    list.append(...found.map(({ token_str, score }, rank) => bar({ label: token_str || "∅", score }, rank === 0)));
    return list;
  });
  if (lists.length === 1) return lists[0];
  const sides = make("div", "sides");
  sides.append(...lists.map((list, place) => make("div", "side", make("h2", "", `Mask ${place + 1}`), list)));
  return sides;
}

// Passages, the best first.
function ranking(ranked, passages) {
  const list = make("ol", "bars ranked");
  list.append(...ranked.map(({ index, score }, rank) => bar({ label: passages[index], score }, rank === 0)));
  return list;
}

// The cosine of each two vectors, as a table with the texts at its side and their numbers above.
function similarities(vectors, texts) {
  const lengths = vectors.map((vector) => Math.hypot(...vector) || 1);
  const cosine = (row, column) =>
    vectors[row].reduce((sum, number, place) => sum + number * vectors[column][place], 0) / lengths[row] / lengths[column];
  const heading = (scope, name, ...parts) => {
    const cell = make("th", name, ...parts);
    cell.scope = scope;
    return cell;
  };
  const table = make("table", "matrix");
  const head = make("tr", "", make("td"));
  head.append(...texts.map((text, column) => {
    const cell = heading("col", "", String(column + 1));
    cell.title = text;
    return cell;
  }));
  const body = make("tbody");
  body.append(...texts.map((text, row) => {
    const name = make("span", "clamped", make("span", "number", `${row + 1} `), text);
    name.title = text;
    const line = make("tr", "", heading("row", "", name));
    line.append(...texts.map((_, column) => {
      const found = cosine(row, column);
      const cell = make("td", "", make("span", "", found.toFixed(2)));
      cell.style.setProperty("--share", String(Math.max(0, found)));
      return cell;
    }));
    return line;
  }));
  table.append(make("thead", "", head), body);
  const what = "How alike the texts are: the cosine of their vectors";
  table.setAttribute("aria-label", what);
  // What scrolls can be reached without a pointer, and has a name.
  const frame = make("div", "scrolled", table);
  frame.tabIndex = 0;
  frame.setAttribute("role", "region");
  frame.setAttribute("aria-label", "Similarity of the texts");
  return make("div", "card", make("p", "quiet", what), frame);
}

// The text with what was found marked in it; where labels make no entities, every word with its label.
function entities({ words, entities: found }, text) {
  const marked = found.length ? found : words.filter((word) => word.label && word.label !== "O");
  const line = make("p", "tagged");
  let end = 0;
  const characters = [...text]; // The server counts characters, JavaScript halves of some.
  for (const { label, start, end: stop, score } of marked) {
    line.append(characters.slice(end, start).join(""));
    line.append(make("mark", "", characters.slice(start, stop).join(""), " ",
      make("span", "kind", `${label} ${(100 * score).toFixed(0)} %`)));
    end = stop;
  }
  line.append(characters.slice(end).join(""));
  return marked.length ? line : make("div", "", line, make("p", "quiet", "No word has a label other than O."));
}

const SHOWN_NUMBERS = 8;

function vector(numbers) {
  const first = numbers.slice(0, SHOWN_NUMBERS).map((number) => number.toFixed(3)).join(", ");
  const rest = numbers.length > SHOWN_NUMBERS ? ", …" : "";
  return make("div", "vector", make("p", "quiet", `${numbers.length} numbers`), make("pre", "", first + rest));
}

export function drawTokens(rows) {
  return rows.map((tokens) => {
    const list = make("ul", "tokens");
    list.append(...tokens.map(({ id, text, special, segment }) => {
      const token = make("li", special ? "special" : segment ? "second" : "", text || "∅");
      token.title = `id ${id}`;
      return token;
    }));
    return make("div", "", make("p", "quiet", `${tokens.length} tokens`), list);
  });
}

export function drawTiming({ headers, total }) {
  const ms = (name) => `${Number(headers.get(name)).toFixed(1)} ms`;
  return terms("timing", [
    ["Round trip", `${total.toFixed(1)} ms`],
    ["Tokenization", ms("x-tokenization-time")],
    ["Queue", ms("x-queue-time")],
    ["Inference", ms("x-inference-time")],
    ["Tokens", headers.get("x-compute-tokens")],
    ["Batch", headers.get("x-batch-size")],
  ]);
}
