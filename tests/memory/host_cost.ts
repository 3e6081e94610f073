/**
 * Prints how many MiB of the host's memory a machine with 4 GiB takes that touched little of it. A program, since
 * tests beside each other share a process, and what the others take would count.
 */
import { Machine } from "../../mod.ts";
import { HUGE_GUEST } from "./huge_guest.ts";

const rss = () => Deno.memoryUsage().rss / 2 ** 20, before = rss();
await using vm = await Machine.create(HUGE_GUEST);
await vm.exited;
vm.stateHash();
vm.restore(vm.snapshot());
console.log(Math.round(rss() - before));
