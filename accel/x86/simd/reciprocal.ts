/**
 * RCPPS and RSQRTPS: the approximations of AMD's Zen 5, bit for bit, recorded from silicon.
 *
 * The processor looks up 12 bits of a result by the first 12 bits of the significand (and, for the root,
 * by the lowest bit of the exponent). The entries are the correctly rounded reciprocals (roots) of the
 * middle of each interval, give or take one unit; what they differ by is in the strings below, three
 * entries to a digit of base 27, each a digit of base 3 less 1. The relative error stays below 1.5 * 2^-12.
 */
import type { X86 } from "../cpu.ts";
import type { Helper } from "../rows.ts";

const RCP =
  "1ddhqiddeqo4ddqq1dc4ddqqeqphpdqqaddhddqdeqdhpdqmepdhddmddddhpdpdqqmhmhqpemehpdmdemd4911ade" +
  "ccddmp444dgeennqoddmmmgghhhennnnmpppppgggggdddddammmmdhhgggenneedpmmdcggd438nned9adgnh3dng" +
  "qj4gngoaddngdgnqqj4ddgmdngngdgngndegngmdndddgqqqndegmddnngnggqqgnhhqngmnqgnd44eehdmnnqocdd" +
  "ggdeeehdmmnnmggggpddeeeaaddddgggggdddddddddddggggdeeeeddmmdddddccchhhed9d4decdmgemdphepmhe" +
  "mqgemphndphdpdeddedqnpqndpedgdqhmqdddcdadgddcdeddd4dmcdaddd1c5qemeddddpdqdhqhmaddmdgdepdhd" +
  "eqdhmdqmepdepdhddhdddddaepdqpdhddddhmdqmdcddc0qddd1hmddaepddcddddddmdddddeqqqqddddqmdddddd" +
  "dddeqqqqqmdddddddddddddddddddddddddddddddhqqqqqpdddddddddddgddddeqqq90ddddddddddepddddqmdd" +
  "dhpdddepdddddddd94ddddeqpdddmddhdhqpddedddmdqmddc4dc1epdqpdqmhqi4d1dc1d9dddqmhqdhmeqdemdpd" +
  "dddddghqeqdemdmdcdc4c4hdedeeqdqdddd4d4gddddepdmdad4ddcdaddd4cdddad4cddqephmhdpemedgdmcdad4" +
  "dhdpemdddcddqemgddcdacemgddgqemhddcd19eddcd4dgedmdemphdmpheddgedmdedmgcddddd44aceeemphddmg" +
  "dd4dacdeemmgcdd4adggeddaacc4ddmdagghedddddggdeeeemmmmppgghhheeennmmmpppggghheeeeeddddmmddd" +
  "ddaaaaadmmmmmdddddnnnnnmmdddd4444433ccdddgddmmnneh44ccddddddmdeedgggmmnnehhgocaaa443ccdaa4" +
  "43ccaaa4hgpmnnegggmmeedgddddddad4cdpnnhggdmeddad4cdmneggddddaeeggmmddad4ggmedda43camddd4gg" +
  "medhnhgmmcda43gdddaedgddca4cad3dd4da4dadcadcdd3dd3da3da3dngpnggnggnddnddmddddd3dd3aegnegmd" +
  "dmdd3dd3a5gnddmddcadgnddnddca4dngddgdda3a4gmdddnggngdda3a4gmdddngdddhqngnddca3add3a3gnddde" +
  "gmdddngdddgndddd";
const RSQRT_ODD =
  "001dd900ddc004ddddeqqmddpdc004ddddemddddqqp904dddd1dddddddddddddddadddd9dddc04dcddepddepdh" +
  "p9dddddhmdql1dc4ddddeddhddpdepdhmdqmeqdhmdqdepdhddpdeddddcdd1d94ddpdedddd9ddepdgdddgdgdpep" +
  "el4cdcdaddddddedddgdmdmedgdddmeddddddcdad4c4mqepemgdmdddd4c4mpemddddd9demgddcdmgedghemo1ac" +
  "d49ddddd4ddddaddddcddddd4ddddadddd9cd4agghempdedmgcdddaghhemmdedddmppheaa9ccdddddggheeejac" +
  "ccddd4dddgddeeedmmmmpggggheeeeemmmmmmgggggdddeedddddd444hheeeeedddd444ddeeehhdddeedgggppdd" +
  "ddddmmnnd444dcdddgddmmneehggppaaad44dcddadddddddddddddddddddddggnnneegpmmmegggddedddaddcdm" +
  "nhhggdneddaddcdmnhggddeddeegpmmddgd4ggnnddaddcamegddhgnneddmdgdnggnegnngpjdcdd4ddddadddddd" +
  "dmddddgdeddedddddmdddddddaddadcadca44nhgndgndgmddmdd5gngqqddegncddddegngnhddddngngnqpdddeg" +
  "ngngqmddddngngngadddddddegngngnga4ddddddddddngngdddddddddddegngngngngngngngngngngngngngngn" +
  "gngngngngngngndddddddddddddhqqpngngngngngmddddngmdddddgnhqqdddngmd3dddgnegndddmddngqngddeg" +
  "degnqgmdddddgnegndcadddddgndgnhpnddaddd3ddcddeddegdngmngqngqa4dd4dddddddgddgdegmegdngdnggn" +
  "ggnhgnegnngnngpngpnhgnegnngmnggndgdddmdd4dddcad4dagpnqgnegpnddmegddddmda4cdd4mnhgndgdndd4d" +
  "dd4nnhgndgdndd4cdd4mnegmdddddeggmnmddddggmnehmddddmneggpdad4deggmnmd4cddgdmeehggmnmd4cddgd" +
  "meehggmnmd4cddddddeeggdmmad43cdddd4dedgddmnedggpmnehhgpmnnqhgpddad44dcdaddddcddddd4ddddddd" +
  "mddddddd4ddddaddddcdeedggdmmdeddgddddddddadd44dpqnnnhhggpmmneeddgdddddcddennhhggpmmmeedddd" +
  "dd44dppmmneedddd";
const RSQRT_EVEN =
  "adddeddmmmpgghhh11aaa9ccccdhhhhheennnmmmmmmgggggdddddgpppppgggggddaaadmmmmmd4444eedddddgdd" +
  "dmneeeggppmjad444cddaad4dccdadd44cddaad4cccenhhggmneedgdmdcdad434pnnedgddccenhggdmegdn43da" +
  "4dddmdgmnggn43da4daddddmdgdegdndgnegmngmnggnggnegnegmegmngdngdnddedddddcdd3dd3addedgngmmdd" +
  "dgd3a4deddngmcadddgdegnda3dddmdddgqgngndaddddmddddhgngnda3a3aca4ddgddddegngngngngngngngngn" +
  "gngngngngngngngndddddddddddddd3a3a4ngngndddddddd3a4ngngddddddegngng4dddgmngnhlddddmegnggad" +
  "da4dgmddnegngpadda4dgddddegmdgnngnecda3ad4dd3ddddd4ddddadeddddgmngpnggnegnegmngdndgndgmegd" +
  "eddmddddddcda4dnhgnngdndgmdddddd4cadgmnggmdgddda4caagdndgdcddddneggmdddddeggmndd4cddgmnegd" +
  "cdad4medgdgmnegdcdad4medddgmnegd3caa4ddcdagdmddeggdmddaddddddgddmdedggdmmeedggmmneegggmmne" +
  "egggmmneegggdmmeedggddmdeddddddddcddaad443dpmnnedggggmdddedaaaddggpppmeeeedadddd3ccccdeeee" +
  "daadddggggpmdddddaaaaadddggd44444ddmmmcccccdddddennnnndddddeeeeedaaaaadddddeeeeedaaaaadddd" +
  "deeeeedaaaaadddddeeedddmmmmmpppppm444444444daaaaddddcddddddmmdddgggddeeeeddmmmmmgggggeeeee" +
  "dmmmmmggggdeeeeddmmmddggdddedddddd441aaemmppgggheeeddmmddddddccdd4441aadmmpgggdedddd4ddaa9" +
  "ccdggeeeddddddaaccdggheedddddaaaccdggeeddd4daemmpggddddd441a9dmdgddccd44eedmddaaccdggeddd4" +
  "4aadmdgddcc441eddddemmpggacddddedmgd1acd4ddddmgedmpd1acd4ddddmgedmpd1acd4adddddedmgeemphda" +
  "cd4acdddddddgedmgeemc419cd4acd4adddddddddedmgedmgeemphempd19c41acd4acd4acd4acd4adddddddddd" +
  "dddddddddddddddd";

/** Significands of 13 bits, the leading one included. */
function table(corrections: string, exact: (x: number) => number): Uint16Array {
  const entries = new Uint16Array(4096);
  for (let i = 0; i < 4096; i++) {
    const digit = parseInt(corrections[Math.floor(i / 3)], 27);
    const correction = Math.floor(digit / [9, 3, 1][i % 3]) % 3 - 1;
    entries[i] = Math.round(8192 * exact(1 + (i + 0.5) / 4096)) + correction;
  }
  return entries;
}

const RECIPROCALS = table(RCP, (x) => 1 / x);
/** For odd biased exponents, where the significand stands for 1 to 2, and for even ones, 2 to 4. */
const ROOTS = [
  table(RSQRT_EVEN, (x) => 1 / Math.sqrt(2 * x)),
  table(RSQRT_ODD, (x) => 1 / Math.sqrt(x)),
];

/** The approximate reciprocal of a single, by bits. Denormals count as zero; nothing is flagged. */
export function reciprocal(x: number): number {
  const sign = x & 0x80000000, e = (x >>> 23) & 0xff;
  if (e === 0) return sign | 0x7f800000;
  if (e === 0xff) return (x & 0x7fffff) === 0 ? sign : x | 0x400000;
  if (e >= 253) return sign;
  return sign | ((253 - e) << 23) | ((RECIPROCALS[(x >>> 11) & 0xfff] & 0xfff) << 11);
}

/** The approximate reciprocal of a single's square root, by bits. */
export function reciprocalRoot(x: number): number {
  const sign = x & 0x80000000, e = (x >>> 23) & 0xff;
  if (e === 0) return sign | 0x7f800000;
  if (e === 0xff && (x & 0x7fffff) !== 0) return x | 0x400000;
  if (sign !== 0) return 0xffc00000 | 0;
  if (e === 0xff) return 0;
  const entry = ROOTS[e & 1][(x >>> 11) & 0xfff];
  return ((126 - ((e - 127) >> 1)) << 23) | ((entry & 0xfff) << 11);
}

function packed(approximate: (x: number) => number): Helper {
  return (cpu: X86, a, b) => {
    const R = cpu.R;
    for (let i = 0; i < 4; i++) R[a + i] = approximate(R[b + i]);
  };
}

function scalar(approximate: (x: number) => number): Helper {
  return (cpu: X86, a, b) => {
    cpu.R[a] = approximate(cpu.R[b]);
  };
}

/** Helpers of this file. */
export const RECIPROCAL: Record<string, Helper> = {
  rcpps: packed(reciprocal),
  rcpss: scalar(reciprocal),
  rsqrtps: packed(reciprocalRoot),
  rsqrtss: scalar(reciprocalRoot),
};
