// A thin stand-in for @std/streams: only what the project uses.

/** Reads a stream of text or bytes into one string. */
export async function toText(stream: ReadableStream): Promise<string> {
  return await new Response(stream).text();
}
