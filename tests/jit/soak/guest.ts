/** What the soak does in its guest: programs are made, run and deleted, over and over. */

/** Instructions that a program may consist of, as `printf` writes them; `N` stands for a random byte. */
const INSTRUCTIONS = [
  ["01 d0", "add eax, edx"],
  ["31 d8", "xor eax, ebx"],
  ["29 f2", "sub edx, esi"],
  ["69 c0 N N N N", "imul eax, eax, n"],
  ["83 c2 N", "add edx, n"],
  ["c1 c0 N", "rol eax, n"],
  ["c1 eb 01", "shr ebx, 1"],
  ["01 c3", "add ebx, eax"],
  ["81 f6 N N N N", "xor esi, n"],
  ["8d 74 16 N", "lea esi, [esi+edx+n]"],
  ["0f b6 f8", "movzx edi, al"],
  ["11 fa", "adc edx, edi"],
  ["50 5f", "push eax; pop edi"],
  ["a8 N 74 02 f7 d8", "test al, n; jz over; neg eax; over:"],
  ["f6 c2 N 75 02 0f ca", "test dl, n; jnz over; bswap edx; over:"],
  ["89 44 24 fc", "mov [esp-4], eax"],
  ["33 54 24 fc", "xor edx, [esp-4]"],
  ["0f af d0", "imul edx, eax"],
] as const;

/** Bytes as ash's `printf` takes them. */
function octal(bytes: readonly (number | string)[]): string {
  return bytes.map((b) => typeof b === "string" ? b : `\\${b.toString(8).padStart(3, "0")}`).join(
    "",
  );
}

const word = (value: number) => [value, value >> 8, value >> 16, value >> 24].map((b) => b & 0xff);

const BASE = 0x08048000, CODE = 84, SIZE = 4096;

/** ELF header and the one program header of a 32-bit program: all of the file, readable, writable and executable. */
const HEADERS = [
  ...[0x7f, 0x45, 0x4c, 0x46, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
  ...[2, 0, 3, 0, ...word(1), ...word(BASE + CODE), ...word(52), ...word(0), ...word(0)],
  ...[52, 0, 32, 0, 1, 0, 0, 0, 0, 0, 0, 0],
  ...[...word(1), ...word(0), ...word(BASE), ...word(BASE), ...word(SIZE), ...word(SIZE)],
  ...[...word(7), ...word(0x1000)],
];

/**
 * A shell script `mkprog SEED FILE`: writes a program of random instructions in a loop of 20,000 to 150,000
 * iterations, which adds to a byte of its own code every so often. It ends with a status that depends on all of them.
 */
const MKPROG = `#!/bin/sh
seed=$1
rnd() { seed=$(( (seed * 1103515245 + 12345) & 0x7fffffff )); r=$(( (seed >> 8) % $1 )); }
oct() { o="\\\\$(( $1 >> 6 & 3 ))$(( $1 >> 3 & 7 ))$(( $1 & 7 ))"; }
word() { w=; for s in 0 8 16 24; do oct $(( $1 >> s )); w="$w$o"; done; }
body= length=0
put() { # bytes as hexadecimal digits, N for a random one
  for b; do
    if [ $b = N ]; then rnd 256; oct $r; else oct $(( 0x$b )); fi
    body="$body$o" length=$((length + 1))
  done
}
rnd 40; count=$((r + 8))
while [ $count -gt 0 ]; do
  count=$((count - 1))
  rnd ${INSTRUCTIONS.length}
  case $r in
${INSTRUCTIONS.map(([bytes, text], i) => `  ${i}) put ${bytes} ;; # ${text}`).join("\n")}
  esac
done
rnd 130000; word $((r + 20000)); iterations=$w
rnd 7; word $(( (1 << (r + 11)) - 1 )); mask=$w
# eax, edx, ebx, esi begin with the seed; the first instruction of the loop has a byte that changes.
word $1
begin="${octal([0xb8])}$w${octal([0xba])}$w${octal([0xbb])}$w${octal([0xbe])}$w${
  octal([0xb9])
}$iterations"
top=$(( ${BASE + CODE} + 25 ))
word $((top + 2)); changed=$w
# add edx, 1; body; test ecx, mask; jnz over; inc byte [changed]; over: dec ecx; jnz top
loop="${octal([0x83, 0xc2, 0x01])}$body${octal([0xf7, 0xc1])}$mask${
  octal([0x75, 0x06, 0xfe, 0x05])
}$changed${octal([0x49, 0x0f, 0x85])}"
word $(( -(3 + length + 6 + 2 + 6 + 1 + 6) ))
# mov ebx, eax; xor ebx, edx; and ebx, 127; mov eax, 1; int 80h
end="${octal([0x89, 0xc3, 0x31, 0xd3, 0x81, 0xe3, ...word(127), 0xb8, ...word(1), 0xcd, 0x80])}"
{ printf '${
  octal(HEADERS)
}'; printf "$begin$loop$w$end"; dd if=/dev/zero bs=${SIZE} count=1 2>/dev/null; } |
  head -c ${SIZE} > $2
chmod +x $2
`;

/**
 * A shell script `round N`: makes programs and scripts, runs each twice, compares, deletes them, and packs and
 * unpacks the busybox. Prints what all of them gave.
 */
const ROUND = `#!/bin/sh
cd /tmp || exit 1
got=
for i in 1 2 3 4; do
  seed=$(( $1 * 4 + i ))
  mkprog $seed program$seed || exit 2
  ./program$seed; one=$?
  ./program$seed; two=$?
  if [ $one != $two ] || [ $one -ge 128 ]; then echo "program $seed gave $one and $two"; exit 3; fi
  rm program$seed
  got="$got$one,"
done
cat > script$1 <<END
f() { n=\\$1 a=$1; while [ \\$n -gt 0 ]; do n=\\$((n - 1)) a=\\$(( (a * 5 + n) % 65521 )); done; echo \\$a; }
f $(( $1 % 400 + 100 ))
END
got="$got$(sh script$1)"
rm script$1
was=$(md5sum < /bin/busybox)
[ "$(gzip -c /bin/busybox | gunzip | md5sum)" = "$was" ] || { echo "gzip"; exit 4; }
echo "$got"
`;

/** A shell script `fill`: has the kernel touch nearly all of its memory, so that the host holds it from then on. */
const FILL = `#!/bin/sh
free=$(awk '/^MemFree/ { print int($2 / 1024) }' /proc/meminfo)
dd if=/dev/zero of=/tmp/fill bs=1M count=$((free - 12)) 2>/dev/null
rm /tmp/fill
`;

/** Files of the soak, for the initial RAM disk. */
export const SOAK_FILES: Readonly<Record<string, string>> = {
  "/usr/bin/mkprog": MKPROG,
  "/usr/bin/round": ROUND,
  "/usr/bin/fill": FILL,
};
