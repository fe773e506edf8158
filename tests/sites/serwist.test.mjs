// Serwist 9: https://serwist.pages.dev

import { serwist } from "./builds/serwist.mjs";
import { promisesOf } from "./harness/behaviours.mjs";

promisesOf("serwist", { build: serwist, precache: (name) => name.startsWith("serwist-precache"), told: "serwist" });
