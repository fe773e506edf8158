// For programs that are no tests, and use what tests use.

/** Runs `main(t)`; what it gave to `t.after` comes at the end, the last one first, however it ends. */
export async function alone(main) {
  const ends = [];
  try {
    await main({ after: (end) => ends.push(end) });
  } finally {
    for (const end of ends.reverse()) await end();
  }
}
