/**
 * The command set of CD and DVD drives: what a packet asks and what the drive answers.
 *
 * INCITS MMC-3 (T10/1363-D) and SFF-8020i for what it dropped; SPC-2 (T10/1236-D) for what all SCSI devices have.
 */
import { toMsf } from "./cd_sector.ts";

const TEST_UNIT_READY = 0x00;
const REQUEST_SENSE = 0x03;
const INQUIRY = 0x12;
const MODE_SENSE_6 = 0x1a;
const START_STOP_UNIT = 0x1b;
const PREVENT_ALLOW_MEDIUM_REMOVAL = 0x1e;
const READ_CAPACITY = 0x25;
const READ_10 = 0x28;
const SEEK_10 = 0x2b;
const SYNCHRONIZE_CACHE = 0x35;
const READ_TOC = 0x43;
const GET_CONFIGURATION = 0x46;
const GET_EVENT_STATUS_NOTIFICATION = 0x4a;
const READ_DISC_INFORMATION = 0x51;
const MODE_SENSE_10 = 0x5a;
const READ_12 = 0xa8;
const READ_DVD_STRUCTURE = 0xad;
const SET_CD_SPEED = 0xbb;
const MECHANISM_STATUS = 0xbd;
const READ_CD = 0xbe;

/** Why a command failed, by SPC's sense key and additional sense codes. */
export interface Sense {
  key: number;
  asc: number;
  ascq: number;
  /** Whether the ATA error register shows ABRT besides the key. */
  abort?: boolean;
}

export const GOOD: Sense = { key: 0, asc: 0, ascq: 0 };
export const READ_ERROR: Sense = { key: 3, asc: 0x11, ascq: 0 };
export const UNIT_ATTENTION_MEDIUM: Sense = { key: 6, asc: 0x28, ascq: 0 };
const MEDIUM_NOT_PRESENT: Sense = { key: 2, asc: 0x3a, ascq: 1 };
const TRAY_OPEN: Sense = { key: 2, asc: 0x3a, ascq: 2 };
const INVALID_COMMAND: Sense = { key: 5, asc: 0x20, ascq: 0, abort: true };
const OUT_OF_RANGE: Sense = { key: 5, asc: 0x21, ascq: 0, abort: true };
const INVALID_FIELD: Sense = { key: 5, asc: 0x24, ascq: 0, abort: true };
const INCOMPATIBLE_MEDIUM: Sense = { key: 5, asc: 0x30, ascq: 0, abort: true };
const SAVING_NOT_SUPPORTED: Sense = { key: 5, asc: 0x39, ascq: 0, abort: true };
const REMOVAL_PREVENTED: Sense = { key: 5, asc: 0x53, ascq: 2, abort: true };
const ILLEGAL_MODE: Sense = { key: 5, asc: 0x64, ascq: 0, abort: true };

/** What GET EVENT STATUS NOTIFICATION has to tell of the medium. */
export type MediaEvent = "none" | "eject" | "new" | "removed";
const EVENT_CODES: { readonly [event in MediaEvent]: number } = {
  none: 0,
  eject: 1,
  new: 2,
  removed: 3,
};

/** The drive as a packet finds it. */
export interface MmcDrive {
  /** Blocks of the medium that can be read; 0 without one or with the tray open. */
  blocks: number;
  open: boolean;
  locked: boolean;
  attention: boolean;
  event: MediaEvent;
  /** How the previous command ended. */
  sense: Sense;
  model: string;
  firmware: string;
}

/** How a packet ends. */
export interface MmcResult {
  sense: Sense;
  reply?: Uint8Array;
  /** Blocks to send, whole sectors of 2,352 bytes if `raw`. */
  read?: { block: number; count: number; raw: boolean };
  /** Whether the tray shall be open. */
  tray?: boolean;
  lock?: boolean;
  /** What the host has been told by this. */
  told?: "attention" | "event";
}

/** Discs with more blocks than a CD of 80 minutes are DVDs. */
const CD_BLOCKS = 80 * 60 * 75;
const PROFILE_CD_ROM = 0x0008, PROFILE_DVD_ROM = 0x0010;
const LEAD_OUT = 0xaa;
const FIRST_TRACK = 1;
/** Position is current, copying not prohibited, data track. */
const DATA_TRACK = 0x14;

type Command = (cdb: Uint8Array, drive: MmcDrive, view: DataView) => MmcResult;

interface Row {
  run: Command;
  /** Fails with UNIT ATTENTION while there is one to tell. */
  attention: boolean;
  /** Fails without a medium. */
  medium: boolean;
}

const always = (run: Command): Row => ({ run, attention: false, medium: false });
const anytime = (run: Command): Row => ({ run, attention: true, medium: false });
const withMedium = (run: Command): Row => ({ run, attention: true, medium: true });

const COMMANDS: { readonly [code: number]: Row } = {
  [TEST_UNIT_READY]: withMedium(() => ({ sense: GOOD })),
  [REQUEST_SENSE]: always(requestSense),
  [INQUIRY]: always(inquiry),
  [MODE_SENSE_6]: anytime((cdb, drive) => modeSense(cdb, drive, 4, cdb[4])),
  [START_STOP_UNIT]: anytime(startStop),
  [PREVENT_ALLOW_MEDIUM_REMOVAL]: anytime((cdb) => ({ sense: GOOD, lock: (cdb[4] & 1) !== 0 })),
  [READ_CAPACITY]: withMedium((_cdb, { blocks }) => answer([...u32(blocks - 1), ...u32(2048)])),
  [READ_10]: withMedium((_cdb, drive, view) =>
    read(drive, view.getUint32(2), view.getUint16(7), false)
  ),
  [SEEK_10]: withMedium((_cdb, { blocks }, view) => ({
    sense: view.getUint32(2) < blocks ? GOOD : OUT_OF_RANGE,
  })),
  [SYNCHRONIZE_CACHE]: withMedium(() => ({ sense: GOOD })),
  [READ_TOC]: withMedium(readToc),
  [GET_CONFIGURATION]: always(getConfiguration),
  [GET_EVENT_STATUS_NOTIFICATION]: always(getEventStatus),
  [READ_DISC_INFORMATION]: withMedium(readDiscInformation),
  [MODE_SENSE_10]: anytime((cdb, drive, view) => modeSense(cdb, drive, 8, view.getUint16(7))),
  [READ_12]: withMedium((_cdb, drive, view) =>
    read(drive, view.getUint32(2), view.getUint32(6), false)
  ),
  [READ_DVD_STRUCTURE]: withMedium(readDvdStructure),
  [SET_CD_SPEED]: anytime(() => ({ sense: GOOD })),
  [MECHANISM_STATUS]: anytime((_cdb, { open }, view) =>
    answer([0, open ? 0x10 : 0, 0, 0, 0, 1, 0, 0], view.getUint16(8))
  ),
  [READ_CD]: withMedium(readCd),
};

/** Finds out what a packet of 12 bytes does to a drive. */
export function executePacket(cdb: Uint8Array, drive: MmcDrive): MmcResult {
  const row = COMMANDS[cdb[0]];
  if (row === undefined) return { sense: INVALID_COMMAND };
  if (row.attention && drive.attention) return { sense: UNIT_ATTENTION_MEDIUM, told: "attention" };
  if (row.medium && drive.blocks === 0) {
    return { sense: drive.open ? TRAY_OPEN : MEDIUM_NOT_PRESENT };
  }
  return row.run(cdb, drive, new DataView(cdb.buffer, cdb.byteOffset, cdb.byteLength));
}

function answer(bytes: ArrayLike<number>, allocated = bytes.length): MmcResult {
  return { sense: GOOD, reply: Uint8Array.from(bytes).subarray(0, allocated) };
}

function u16(value: number): number[] {
  return [(value >> 8) & 0xff, value & 0xff];
}

function u32(value: number): number[] {
  return [value >>> 24, (value >> 16) & 0xff, ...u16(value)];
}

/** Puts the length of what follows in front, in two bytes. */
function counted(bytes: number[]): number[] {
  return [...u16(bytes.length), ...bytes];
}

function ascii(text: string, length: number): number[] {
  const padded = text.padEnd(length).slice(0, length);
  return Array.from(padded, (c) => c.charCodeAt(0) & 0x7f);
}

function isDvd(blocks: number): boolean {
  return blocks > CD_BLOCKS;
}

function address(block: number, msf: boolean): number[] {
  return msf ? [0, ...toMsf(block)] : u32(block);
}

function read(drive: MmcDrive, block: number, count: number, raw: boolean): MmcResult {
  if (block + count > drive.blocks) return { sense: OUT_OF_RANGE };
  return count === 0 ? { sense: GOOD } : { sense: GOOD, read: { block, count, raw } };
}

function requestSense(cdb: Uint8Array, drive: MmcDrive): MmcResult {
  const { key, asc, ascq } = drive.sense.key === 0 && drive.attention
    ? UNIT_ATTENTION_MEDIUM
    : drive.sense;
  const bytes = new Uint8Array(18);
  bytes.set([0x70, 0, key]);
  bytes[7] = 10;
  bytes[12] = asc;
  bytes[13] = ascq;
  const result = answer(bytes, cdb[4]);
  return key === UNIT_ATTENTION_MEDIUM.key ? { ...result, told: "attention" } : result;
}

function inquiry(cdb: Uint8Array, drive: MmcDrive, view: DataView): MmcResult {
  // Neither vital product data nor command support data.
  if ((cdb[1] & 3) !== 0 || cdb[2] !== 0) return { sense: INVALID_FIELD };
  return answer([
    0x05, // CD or DVD
    0x80, // removable
    0x05, // SPC-3
    0x32, // ATAPI-3, response format 2
    31,
    0,
    0,
    0,
    ...ascii("COMPY", 8),
    ...ascii(drive.model, 16),
    ...ascii(drive.firmware, 4),
  ], view.getUint16(3));
}

function startStop(cdb: Uint8Array, drive: MmcDrive): MmcResult {
  const start = (cdb[4] & 1) !== 0, loadEject = (cdb[4] & 2) !== 0;
  if ((cdb[4] & 0xf0) !== 0 || !loadEject) return { sense: GOOD };
  if (!start && drive.locked) return { sense: REMOVAL_PREVENTED };
  return { sense: GOOD, tray: !start };
}

function readToc(cdb: Uint8Array, drive: MmcDrive, view: DataView): MmcResult {
  const msf = (cdb[1] & 2) !== 0;
  const start = cdb[6];
  const allocated = view.getUint16(7);
  // SFF-8020i kept the format in the control byte.
  switch ((cdb[2] & 0x0f) || cdb[9] >> 6) {
    case 0: {
      if (start > FIRST_TRACK && start !== LEAD_OUT) return { sense: INVALID_FIELD };
      const track = start > FIRST_TRACK ? [] : [0, DATA_TRACK, FIRST_TRACK, 0, ...address(0, msf)];
      const leadOut = [0, DATA_TRACK, LEAD_OUT, 0, ...address(drive.blocks, msf)];
      return answer(counted([FIRST_TRACK, FIRST_TRACK, ...track, ...leadOut]), allocated);
    }
    case 1:
      return answer(
        counted([1, 1, 0, DATA_TRACK, FIRST_TRACK, 0, ...address(0, msf)]),
        allocated,
      );
    case 2: {
      const entry = (
        point: number,
        place: number[],
      ) => [1, DATA_TRACK, 0, point, 0, 0, 0, ...place];
      return answer(
        counted([
          1,
          1,
          ...entry(0xa0, [0, FIRST_TRACK, 0, 0]),
          ...entry(0xa1, [0, FIRST_TRACK, 0, 0]),
          ...entry(0xa2, [0, ...toMsf(drive.blocks)]),
          ...entry(FIRST_TRACK, [0, ...toMsf(0)]),
        ]),
        allocated,
      );
    }
    default:
      return { sense: INVALID_FIELD };
  }
}

function readDiscInformation(cdb: Uint8Array, _drive: MmcDrive, view: DataView): MmcResult {
  if ((cdb[1] & 7) !== 0) return { sense: INVALID_FIELD };
  const bytes = new Uint8Array(34);
  // A finalised disc whose last session is complete; one session, one track; lead-in and lead-out unknown.
  bytes.set([0, 32, 0x0e, 1, 1, 1, 1, 0x20]);
  bytes.fill(0xff, 17, 24);
  return answer(bytes, view.getUint16(7));
}

function getConfiguration(cdb: Uint8Array, drive: MmcDrive, view: DataView): MmcResult {
  const requestType = cdb[1] & 3;
  const start = view.getUint16(2);
  if (requestType === 3) return { sense: INVALID_FIELD };
  const dvd = isDvd(drive.blocks), cd = drive.blocks > 0 && !dvd;
  const current = dvd ? PROFILE_DVD_ROM : cd ? PROFILE_CD_ROM : 0;
  const profile = (code: number) => [...u16(code), code === current ? 1 : 0, 0];
  // Version, persistent and current bits come third in each descriptor.
  const features: { code: number; flags: number; data: number[] }[] = [
    {
      code: 0x0000, // profile list
      flags: 0x03,
      data: [...profile(PROFILE_DVD_ROM), ...profile(PROFILE_CD_ROM)],
    },
    { code: 0x0001, flags: 0x07, data: [0, 0, 0, 2, 0, 0, 0, 0] }, // core: ATAPI
    { code: 0x0003, flags: 0x03, data: [0x29, 0, 0, 0] }, // removable: tray, eject, lock
    {
      code: 0x0010, // random readable
      flags: drive.blocks > 0 ? 1 : 0,
      data: [...u32(2048), ...u16(dvd ? 16 : 1), 0, 0],
    },
    { code: 0x001e, flags: 0x08 | (cd ? 1 : 0), data: [0, 0, 0, 0] }, // CD read
    { code: 0x001f, flags: dvd ? 1 : 0, data: [] }, // DVD read
  ];
  const listed = features.filter(({ code, flags }) =>
    requestType === 2 ? code === start : code >= start && (requestType === 0 || (flags & 1) !== 0)
  ).flatMap(({ code, flags, data }) => [...u16(code), flags, data.length, ...data]);
  const rest = [0, 0, ...u16(current), ...listed];
  return answer([...u32(rest.length), ...rest], view.getUint16(7));
}

function getEventStatus(cdb: Uint8Array, drive: MmcDrive, view: DataView): MmcResult {
  const MEDIA_CLASS = 4, SUPPORTED = 1 << MEDIA_CLASS, NO_EVENT_AVAILABLE = 0x80;
  const allocated = view.getUint16(7);
  // Only polling: there is no queue of commands in which to wait.
  if ((cdb[1] & 1) === 0) return { sense: INVALID_FIELD };
  if ((cdb[4] & SUPPORTED) === 0) return answer([0, 2, NO_EVENT_AVAILABLE, SUPPORTED], allocated);
  const status = (drive.open ? 1 : 0) | (drive.blocks > 0 ? 2 : 0);
  const event = EVENT_CODES[drive.event];
  const result = answer([0, 6, MEDIA_CLASS, SUPPORTED, event, status, 0, 0], allocated);
  return allocated > 4 ? { ...result, told: "event" } : result;
}

function modeSense(
  cdb: Uint8Array,
  drive: MmcDrive,
  header: 4 | 8,
  allocated: number,
): MmcResult {
  const control = cdb[2] >> 6, page = cdb[2] & 0x3f;
  if (control === 3) return { sense: SAVING_NOT_SUPPORTED };
  const changeable = control === 1;
  const pages = [errorRecoveryPage(changeable), capabilitiesPage(drive, changeable)];
  const chosen = page === 0x3f ? pages : pages.filter(([code]) => code === page);
  if (chosen.length === 0) return { sense: INVALID_FIELD };
  const medium = drive.open ? 0x71 : drive.blocks > 0 ? 0x01 : 0x70;
  const rest = header === 8 ? [medium, 0, 0, 0, 0, 0] : [medium, 0, 0];
  for (const bytes of chosen) rest.push(...bytes);
  return answer(header === 8 ? counted(rest) : [rest.length, ...rest], allocated);
}

function errorRecoveryPage(changeable: boolean): number[] {
  return [0x01, 6, 0, changeable ? 0 : 5, 0, 0, 0, 0];
}

/** CD capabilities and mechanical status. */
function capabilitiesPage(drive: MmcDrive, changeable: boolean): number[] {
  const SPEED = 706, BUFFER_KIB = 64;
  if (changeable) return [0x2a, 18, ...new Array(18).fill(0)];
  return [
    0x2a,
    18,
    0x0b, // reads CD-R, CD-RW, DVD-ROM
    0x00, // writes nothing
    0x00, // neither audio nor mode 2 nor sessions
    0x00,
    0x29 | (drive.locked ? 2 : 0), // tray, ejects, locks
    0x00,
    ...u16(SPEED),
    ...u16(0), // no volume levels
    ...u16(BUFFER_KIB),
    ...u16(SPEED),
    0,
    0,
    ...u16(0),
  ];
}

function readCd(cdb: Uint8Array, drive: MmcDrive, view: DataView): MmcResult {
  const ANY = 0, MODE_1 = 2, USER_DATA = 0x10, ALL = 0xf8;
  const type = (cdb[1] >> 2) & 7;
  if (type !== ANY && type !== MODE_1) return { sense: ILLEGAL_MODE };
  const count = cdb[6] << 16 | cdb[7] << 8 | cdb[8];
  const selection = cdb[9] & 0xf8;
  if ((cdb[9] & 6) !== 0 || (cdb[10] & 7) !== 0) return { sense: INVALID_FIELD };
  if (selection === 0) return read(drive, view.getUint32(2), 0, false);
  if (selection !== USER_DATA && selection !== ALL) return { sense: INVALID_FIELD };
  return read(drive, view.getUint32(2), count, selection === ALL);
}

function readDvdStructure(cdb: Uint8Array, drive: MmcDrive, view: DataView): MmcResult {
  const PHYSICAL = 0, COPYRIGHT = 1, MANUFACTURING = 4, LIST = 0xff;
  const DATA_AREA = 0x30000;
  if (!isDvd(drive.blocks)) return { sense: INCOMPATIBLE_MEDIUM };
  if (cdb[1] !== 0 || cdb[6] !== 0) return { sense: INVALID_FIELD };
  const allocated = view.getUint16(8);
  const structure = (bytes: number[]) => answer(counted([0, 0, ...bytes]), allocated);
  switch (cdb[7]) {
    case PHYSICAL: {
      const bytes: number[] = new Array(2048).fill(0);
      // DVD-ROM, version 1; 120 mm, rate unspecified; one layer with embossed data.
      [0x01, 0x0f, 0x01, 0x00].forEach((byte, i) => bytes[i] = byte);
      [...u32(DATA_AREA), ...u32(DATA_AREA + drive.blocks - 1)].forEach((b, i) => bytes[4 + i] = b);
      return structure(bytes);
    }
    case COPYRIGHT: // no protection, no region
      return structure([0, 0, 0, 0]);
    case MANUFACTURING:
      return structure(new Array(2048).fill(0));
    case LIST: {
      const entry = (format: number, length: number) => [format, 0x40, ...u16(length)];
      return structure([
        ...entry(PHYSICAL, 2052),
        ...entry(COPYRIGHT, 8),
        ...entry(MANUFACTURING, 2052),
      ]);
    }
    default:
      return { sense: INVALID_FIELD };
  }
}
