/** An overlay in host memory: the guest may write, the drive below stays as it is. */
import { type BlockDevice, checkAccess } from "./block_device.ts";

/** Bytes that are copied from below when the first of them is written. */
const CLUSTER_SIZE = 65536;

/** Keeps writes in memory, by cluster, and reads the rest from the device below. */
export class Overlay implements BlockDevice {
  /** Name of the device below. */
  readonly source: string;
  /** Bytes, as below. */
  readonly size: number;
  /** Always writable. */
  readonly readOnly = false;
  private readonly clusters = new Map<number, Uint8Array>();

  /**
   * Covers a device.
   *
   * @param below is only read, and closed with the overlay
   */
  constructor(private readonly below: BlockDevice) {
    this.source = below.source;
    this.size = below.size;
  }

  /** Bytes of host memory that hold what was written. */
  get allocated(): number {
    return this.clusters.size * CLUSTER_SIZE;
  }

  read(offset: number, length: number): Uint8Array {
    checkAccess(this, offset, length);
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length;) {
      const own = this.clusters.get(clusterOf(offset + done));
      if (own !== undefined) {
        const from = (offset + done) % CLUSTER_SIZE;
        const count = Math.min(length - done, CLUSTER_SIZE - from);
        bytes.set(own.subarray(from, from + count), done);
        done += count;
        continue;
      }
      // One read for all the clusters in a row that lie below.
      let end = offset + done;
      do end = (clusterOf(end) + 1) * CLUSTER_SIZE; while (
        end < offset + length && !this.clusters.has(clusterOf(end))
      );
      const count = Math.min(length, end - offset) - done;
      bytes.set(this.below.read(offset + done, count), done);
      done += count;
    }
    return bytes;
  }

  write(offset: number, bytes: Uint8Array): void {
    checkAccess(this, offset, bytes.length);
    for (let done = 0; done < bytes.length;) {
      const from = (offset + done) % CLUSTER_SIZE;
      const count = Math.min(bytes.length - done, CLUSTER_SIZE - from);
      this.own(clusterOf(offset + done), count).set(bytes.subarray(done, done + count), from);
      done += count;
    }
  }

  flush(): void {}

  close(): void {
    this.below.close();
  }

  /** Forgets all writes. */
  discard(): void {
    this.clusters.clear();
  }

  /** The cluster of the overlay that is about to be written. */
  private own(index: number, overwritten: number): Uint8Array {
    let cluster = this.clusters.get(index);
    if (cluster === undefined) {
      cluster = new Uint8Array(CLUSTER_SIZE);
      const start = index * CLUSTER_SIZE;
      const present = Math.min(CLUSTER_SIZE, this.size - start);
      if (overwritten < present) cluster.set(this.below.read(start, present));
      this.clusters.set(index, cluster);
    }
    return cluster;
  }
}

function clusterOf(offset: number): number {
  return Math.floor(offset / CLUSTER_SIZE);
}
