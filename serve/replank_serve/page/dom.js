// Helpers of the pages: elements, lists of terms, requests to the server.

export const at = (id) => document.getElementById(id);
let key = "";

export function make(tag, className, ...content) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...content);
  return element;
}

export function terms(className, rows) {
  const list = make("dl", className);
  for (const [term, value] of rows) list.append(make("div", "", make("dt", "", term), make("dd", "", value)));
  return list;
}

export const title = (name) => (name.charAt(0).toUpperCase() + name.slice(1)).replaceAll("_", " ");

export function showError(error) {
  at("error").textContent = error?.message ?? "";
  at("error").hidden = !error;
}

// Kept in memory only.
export function useKey(given) {
  key = given;
}

// The JSON of a response; an error response is thrown as an Error with the server's message.
export async function ask(path, body) {
  const options = { headers: key ? { authorization: `Bearer ${key}` } : {} };
  if (body) {
    options.method = "POST";
    options.body = JSON.stringify(body);
    options.headers["content-type"] = "application/json";
  }
  const started = performance.now();
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The server cannot be reached.");
  }
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return { body: answer, headers: response.headers, total: performance.now() - started };
  const id = answer.request_id ? ` · request ${answer.request_id}` : "";
  const error = new Error(`${response.status}: ${answer.error || "no reason given"}${id}`);
  error.status = response.status;
  throw error;
}

export function curl(path, body, method = "POST") {
  const auth = key ? ' -H "authorization: Bearer $KEY"' : "";
  if (!body) return `curl ${method === "GET" ? "" : `-X ${method} `}${location.origin}${path}${auth}`;
  const data = JSON.stringify(body).replaceAll("'", "\\u0027");
  return `curl ${location.origin}${path}${auth} -H 'content-type: application/json' \\\n  -d '${data}'`;
}
