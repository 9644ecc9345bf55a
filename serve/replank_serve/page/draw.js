// Answers as elements: labels as bars, words with their labels, vectors, tokens, timings.

import { make, terms } from "/page/dom.js";

const one_or_many = (body, many) => (many ? body : [body]);

// How to show the answers of each route: `answers` takes a response apart into one answer per text, `draw` makes an
// element of an answer to a text, of a task, and `decision` is the part of it on which two models agree or not, if they decide anything.
export const views = {
  "/predict": { answers: one_or_many, draw: bars, decision: held },
  "/ner": { answers: one_or_many, draw: entities, decision: ({ words }) => words.map((word) => word.label).join(" ") },
  "/embed": { answers: (body) => body, draw: vector },
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
