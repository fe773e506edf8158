// What was found, a line of JSON for each test and one for the harness.
setup({ explicit_done: true });
add_completion_callback((tests, harness) => {
  for (const { name, status, message } of tests) console.log(JSON.stringify({ name, status, message }));
  console.log(JSON.stringify({ harness: harness.status, message: harness.message }));
});
