// A page's end of the gateway's channel, in as much as a test needs: docs/channel.md, without WebSockets.

import { PATIENCE } from "../../harness/patience.mjs";

const STREAM = "/.well-known/waystore/channel/stream";

/**
 * A page at `address` that hears what the worker posts to it. Returns a function that resolves with the next message's
 * properties.
 */
export async function openPage(t, address) {
  const leave = new AbortController();
  t.after(() => leave.abort());
  const signal = AbortSignal.any([leave.signal, AbortSignal.timeout(PATIENCE)]);
  const { origin } = new URL(address);
  const hello = JSON.stringify({ frame: "hello", version: 1, url: `${origin}/`, visible: true });
  const response = await fetch(origin + STREAM, { method: "POST", headers: { origin }, body: hello, signal });
  if (response.status !== 200) throw new Error(`the page was refused: ${response.status} ${await response.text()}`);
  const frames = framesOf(response.body);
  return async () => {
    for await (const { frame, data } of frames) if (frame === "message") return valueOf(data);
    throw new Error("the gateway closed the page");
  };
}

async function* framesOf(stream) {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    text += decoder.decode(chunk, { stream: true });
    const events = text.split("\n\n");
    text = events.pop();
    for (const event of events) if (event.startsWith("data: ")) yield JSON.parse(event.slice("data: ".length));
  }
}

/** The plain objects and text of docs/messages.md, which is what workers post here. */
function valueOf([root, objects]) {
  const read = (value) => (value?.is === "object" ? Object.fromEntries(objects[value.id].entries.map(([key, inner]) => [key, read(inner)])) : value);
  return read(root);
}
