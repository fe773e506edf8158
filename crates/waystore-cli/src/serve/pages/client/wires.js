// The two ways that frames can go: a WebSocket, or else a POST whose answer streams and POSTs beside it.
// A wire takes texts, gives texts, and ends once; it knows nothing of what they say.

const CHANNEL = new URL("/.well-known/waystore/channel", location.href);

// Whether a WebSocket was ever opened here; whether the other way ever worked.
const works = { socket: false, stream: false };

// `talk`: hello() and from(), the first texts; batchChars(), how much goes into one POST; ontext(text);
// onend({ code, reason, retryMs, fatal }).
function openWire(talk) {
  return typeof WebSocket !== "function" || (works.stream && !works.socket) ? openStream(talk) : openSocket(talk);
}

function openSocket(talk) {
  const url = new URL(CHANNEL);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  let socket;
  try {
    socket = new WebSocket(url);
  } catch {
    // A policy of the page that does not let it through, in some browsers.
    return openStream(talk);
  }
  let opened = false;
  // What takes over where no WebSocket can be opened: a refusal shows its reason there.
  let instead;
  socket.onopen = () => {
    opened = true;
    works.socket = true;
    socket.send(talk.hello());
  };
  socket.onmessage = ({ data }) => talk.ontext(data);
  socket.onclose = ({ code, reason }) => {
    if (opened) talk.onend({ code, reason });
    else instead = openStream(talk);
  };
  const send = (text) => (instead === undefined ? socket.send(text) : instead.send(text));
  return {
    send,
    last: (text) => (instead === undefined ? socket.send(text) : instead.last(text)),
    close() {
      socket.onmessage = socket.onclose = socket.onopen = null;
      socket.close();
      instead?.close();
    },
  };
}

function openStream(talk) {
  const stop = new AbortController();
  const waiting = [];
  let posting = false;
  const end = (end) => stop.signal.aborted || talk.onend(end);

  const read = async () => {
    const response = await fetch(`${CHANNEL}/stream`, { method: "POST", body: talk.hello(), signal: stop.signal });
    if (!response.ok) return end(await refusal(response));
    works.stream = true;
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return end({});
      const events = (rest + value).split("\n\n");
      rest = events.pop();
      for (const event of events) if (event.startsWith("data:")) talk.ontext(event.slice(5));
    }
  };

  const post = async () => {
    posting = true;
    while (waiting.length > 0) {
      const body = [talk.from()];
      for (let chars = 0; waiting.length > 0 && (chars === 0 || chars + waiting[0].length < talk.batchChars()); ) {
        chars += waiting[0].length;
        body.push(waiting.shift());
      }
      const response = await fetch(`${CHANNEL}/frames`, { method: "POST", body: body.join("\n"), signal: stop.signal });
      if (!response.ok) return end({ ...(await refusal(response)), fatal: false });
    }
    posting = false;
  };

  read().catch(() => end({}));
  return {
    send(text) {
      waiting.push(text);
      if (!posting) post().catch(() => end({}));
    },
    last: (text) => navigator.sendBeacon(`${CHANNEL}/frames`, [talk.from(), ...waiting, text].join("\n")),
    close: () => stop.abort(),
  };
}

// What the gateway says that it will not do, also later.
async function refusal(response) {
  const fatal = [400, 403, 404].includes(response.status) && response.headers.has("waystore-error");
  const retryMs = 1000 * (Number(response.headers.get("retry-after")) || 0);
  const code = response.status === 413 ? CLOSE.tooLarge : undefined;
  return { code, reason: (await response.text()).trim().slice(0, 500), fatal, retryMs };
}
