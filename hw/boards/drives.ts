/** Which drive sits where on the two IDE channels. */
import type { BlockDevice } from "../../core/block/block_device.ts";
import { didYouMean } from "../../core/text.ts";
import type { Properties } from "./devices.ts";
import { BoardError, DeviceError } from "./errors.ts";

/** A drive, or a medium for one. */
export interface PcDrive {
  media: "disk" | "cdrom";
  /** What holds the bytes; a CD-ROM drive may be empty. The board closes it when it is disposed. */
  block?: BlockDevice;
  /** The name by which `ide-hd` and `ide-cd` refer to it. A drive that one of them refers to is no drive of its own. */
  id?: string;
  /**
   * Where it sits: 0 and 1 are master and slave of the first channel, 2 and 3 of the second. By default
   * the first free place, for CD-ROMs from the second channel on.
   */
  index?: number;
  /** Serial number that the guest reads, at most 20 characters. */
  serial?: string;
}

/** Places on the channels. */
export const IDE_PLACES = 4;
/** Where CD-ROM drives go by default: `-cdrom`'s place. */
const FIRST_CDROM = 2;

const KIND = { "ide-hd": "disk", "ide-cd": "cdrom" } as const;

/** `ide.1` and `0` are place 2; undefined parts are free to choose. */
function wantedPlaces(properties: Properties): number[] {
  const bus = properties.text("bus");
  const unit = properties.integer("unit", 0, 1);
  const match = bus === undefined ? null : /^ide\.([01])$/.exec(bus);
  if (bus !== undefined && match === null) {
    throw new DeviceError(
      properties.driver,
      `${properties.driver}: there is no bus ${JSON.stringify(bus)}; there are ide.0 and ide.1`,
    );
  }
  return Array.from({ length: IDE_PLACES }, (_, place) => place).filter((place) =>
    (match === null || place >> 1 === Number(match[1])) &&
    (unit === undefined || (place & 1) === unit)
  );
}

/** A drive in messages. */
function label(drive: PcDrive): string {
  return drive.id ?? drive.block?.source ?? `empty ${drive.media}`;
}

/**
 * Gives every drive a place.
 *
 * @param requests the `ide-hd` and `ide-cd` devices that were asked for
 * @throws {BoardError} when places are taken, out of range, or used up, or a name is not that of a drive
 */
export function placeDrives(
  drives: readonly PcDrive[],
  requests: readonly Properties[],
): (PcDrive | undefined)[] {
  const places = new Array<PcDrive | undefined>(IDE_PLACES).fill(undefined);
  const put = (drive: PcDrive, candidates: readonly number[], describe: string): void => {
    const place = candidates.find((p) => places[p] === undefined);
    if (place === undefined) {
      const [wanted] = candidates;
      throw new BoardError(
        "drives",
        candidates.length === 1
          ? `${describe}: ${label(places[wanted]!)} is there already`
          : `${describe}: no place is free, there are ${IDE_PLACES} on the two IDE channels`,
      );
    }
    places[place] = drive;
  };
  for (const drive of drives) {
    if (drive.media === "disk" && drive.block === undefined) {
      throw new BoardError("drives", `drive ${label(drive)} is a disk without contents`);
    }
    const { id } = drive;
    if (id !== undefined && drives.some((other) => other !== drive && other.id === id)) {
      throw new BoardError("drives", `two drives have the id ${JSON.stringify(id)}`);
    }
  }

  const named = new Map(drives.flatMap((d) => d.id === undefined ? [] : [[d.id, d] as const]));
  const claimed = new Set<PcDrive>();
  const byDevice: { drive: PcDrive; places: number[]; describe: string }[] = [];
  for (const request of requests) {
    const media = KIND[request.driver as keyof typeof KIND];
    const id = request.text("drive");
    const fail = (problem: string): never => {
      throw new DeviceError(request.driver, `${request.driver}: ${problem}`);
    };
    let drive: PcDrive = { media };
    if (id !== undefined) {
      const found = named.get(id) ??
        fail(`there is no drive ${JSON.stringify(id)}${didYouMean(id, named.keys())}`);
      if (found.media !== media) fail(`drive ${JSON.stringify(id)} is a ${found.media}`);
      if (claimed.has(found)) fail(`drive ${JSON.stringify(id)} is in use already`);
      claimed.add(found);
      drive = found;
    } else if (media === "disk") fail("it needs a drive: give drive=ID");
    byDevice.push({ drive, places: wantedPlaces(request), describe: request.driver });
  }

  const own = drives.filter((drive) => !claimed.has(drive));
  // Fixed places come first, so that a drive without one never takes another's.
  for (const drive of own.filter((d) => d.index !== undefined)) {
    const index = drive.index!;
    if (!Number.isInteger(index) || index < 0 || index >= IDE_PLACES) {
      throw new BoardError(
        "drives",
        `drive ${label(drive)} has the index ${index}: give 0 to ${IDE_PLACES - 1}`,
      );
    }
    put(drive, [index], `drive ${label(drive)} at index ${index}`);
  }
  const all = Array.from({ length: IDE_PLACES }, (_, place) => place);
  const cdromFirst = [...all.slice(FIRST_CDROM), ...all.slice(0, FIRST_CDROM)];
  for (const drive of own.filter((d) => d.index === undefined)) {
    const candidates = drive.media === "cdrom" ? cdromFirst : all;
    put(drive, candidates, `drive ${label(drive)}`);
  }
  for (const { drive, places: candidates, describe } of byDevice) put(drive, candidates, describe);
  return places;
}
