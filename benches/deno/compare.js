// Runs `caches.js` in both programs, in turns, and compares the medians. Runs in Deno:
// `deno run -A compare.js WAYSTORE [ROUNDS]`, where WAYSTORE is the program to measure.

const [waystore, rounds = "5"] = Deno.args;
const script = new URL("caches.js", import.meta.url).pathname;
// How many times as fast as Deno this is to be.
const TARGETS = { put: 10, "match with body": 8, miss: 5, "sixteen at once": 8 };

const CONTENDERS = {
  waystore: (folder) => [waystore, { args: ["run", "--url", "https://shop.example/", "--data", `${folder}/data`, script] }],
  Deno: (folder) => [
    Deno.execPath(),
    { args: ["run", "--location", "https://shop.example/", script], env: { DENO_DIR: folder, NO_COLOR: "1" } },
  ],
};

async function run(contender) {
  const folder = await Deno.makeTempDir({ prefix: "waystore-against-deno-" });
  try {
    const [program, options] = CONTENDERS[contender](folder);
    const { success, stdout, stderr } = await new Deno.Command(program, options).output();
    const text = new TextDecoder().decode(stdout);
    if (!success) throw new Error(`${contender} failed: ${new TextDecoder().decode(stderr)}`);
    return Object.fromEntries(text.trim().split("\n").map((line) => line.split("\t")));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function median(values) {
  return values.map(Number).sort((one, other) => one - other)[Math.floor(values.length / 2)];
}

const results = { waystore: [], Deno: [] };
for (let round = 0; round < Number(rounds); round += 1) {
  for (const contender of Object.keys(CONTENDERS)) results[contender].push(await run(contender));
}

console.log(`4 KiB, on disk, medians of ${rounds} runs in turns, µs for each operation; Deno ${Deno.version.deno}\n`);
console.log("| | waystore | Deno | times ours | target | met |\n| --- | ---: | ---: | ---: | ---: | --- |");
for (const [measure, target] of Object.entries(TARGETS)) {
  const [ours, theirs] = ["waystore", "Deno"].map((name) => median(results[name].map((result) => result[measure])));
  const ratio = theirs / ours;
  const met = ratio >= target ? "yes" : "**no**";
  console.log(`| ${measure} | ${ours.toFixed(1)} | ${theirs.toFixed(1)} | ${ratio.toFixed(1)}× | ≥ ${target}× | ${met} |`);
}
