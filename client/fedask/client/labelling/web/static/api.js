// Talks to the device. Says no more than what came of it: an answer, gone, signed out, refused.

// Nothing came of it now, and it may be tried again; trouble: what is wrong with the device.
export class Gone extends Error {
  constructor(trouble = "away") {
    super(trouble);
    this.trouble = trouble;
  }
}
export class SignedOut extends Error {}
export class Refused extends Error {}
export class Ended extends Refused {} // the sample may not be shown any more

const TIMEOUT_MS = 20000;
let csrf = "";
let annotator = null;

async function once(method, path, body) {
  let reply;
  try {
    reply = await fetch(path, {
      method,
      headers: method === "POST" ? { "content-type": "application/json", "x-csrf-token": csrf } : {},
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      redirect: "error",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch {
    throw new Gone();
  }
  return reply;
}

async function call(method, path, body) {
  let reply = await once(method, path, body);
  if (reply.status === 403 && method === "POST") {
    // Somebody signed in anew in another tab: the same person goes on, another one starts afresh.
    await start();
    reply = await once(method, path, body);
  }
  if (reply.status === 401 || reply.status === 403) throw new SignedOut();
  if (reply.status === 409) throw new Refused();
  if (reply.status === 410) throw new Ended();
  // Anything else is no annotation on what was sent: it is kept, and sent again.
  if (!reply.ok) throw new Gone({ 507: "full", 500: "failed" }[reply.status]);
  return reply;
}

// The body may break off, too: that is the same as no reply.
async function read(reply, how) {
  try {
    return await reply[how]();
  } catch {
    throw new Gone();
  }
}

export async function start() {
  const settings = await read(await call("GET", "/api/start"), "json");
  if (annotator !== null && settings.annotator !== annotator) {
    location.reload();
    throw new SignedOut();
  }
  annotator = settings.annotator;
  csrf = settings.csrf;
  return settings;
}

export const get = async (path, how = "json") => read(await call("GET", path), how);
export const post = async (path, body = {}) => read(await call("POST", path, body), "json");

// 128 random bits; crypto.randomUUID would need a secure context.
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
