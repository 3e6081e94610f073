// A thin stand-in for @std/path over Node's own path module.
import nodePath from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

export const basename: (path: string | URL, suffix?: string) => string = (path, suffix) =>
  nodePath.basename(path instanceof URL ? fileURLToPath(path) : path, suffix);
export const dirname: (path: string | URL) => string = (path) =>
  nodePath.dirname(path instanceof URL ? fileURLToPath(path) : path);
export const extname: (path: string | URL) => string = (path) =>
  nodePath.extname(path instanceof URL ? fileURLToPath(path) : path);
export const join: (path: string | URL, ...paths: string[]) => string = (path, ...paths) =>
  nodePath.join(path instanceof URL ? fileURLToPath(path) : path, ...paths);
export const resolve: (...segments: string[]) => string = nodePath.resolve;
export const relative: (from: string, to: string) => string = nodePath.relative;
export const isAbsolute: (path: string) => boolean = nodePath.isAbsolute;
export const fromFileUrl: (url: string | URL) => string = (url) => fileURLToPath(url);
export const toFileUrl: (path: string) => URL = (path) => pathToFileURL(path);
