// Reads arrays in folders with zarrita: one request a line on stdin, one answer a line on stdout, both JSON.
//
// Request: {"path": folder, "selection": null or, for each axis, an integer or [start, stop, step]}.
// Answer: {"shape", "data": the elements in C order, base64, "requests", "nbytes"}, or {"error": text}.

import { createInterface } from "node:readline";
import FileSystemStore from "@zarrita/storage/fs";
import * as zarr from "zarrita";

class CountingStore extends FileSystemStore {
  requests = 0;
  nbytes = 0;

  async get(key, options) {
    return this.#count(key, await super.get(key, options));
  }

  async getRange(key, range, options) {
    return this.#count(key, await super.getRange(key, range, options));
  }

  #count(key, found) {
    if (!key.endsWith("zarr.json")) {
      this.requests += 1;
      this.nbytes += found?.length ?? 0;
    }
    return found;
  }
}

/** Elements in C order, whatever the strides are: an array of a transposed chain comes back in its own order. */
function inOrder({ data, shape, stride }) {
  const size = shape.reduce((product, axis) => product * axis, 1);
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const itemsize = data.byteLength / data.length;
  const ordered = new Uint8Array(size * itemsize);
  for (let at = 0; at < size; at++) {
    let rest = at;
    let from = 0;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += (rest % shape[axis]) * stride[axis];
      rest = Math.floor(rest / shape[axis]);
    }
    ordered.set(bytes.subarray(from * itemsize, (from + 1) * itemsize), at * itemsize);
  }
  return ordered;
}

const SCALARS = {
  bool: Uint8Array,
  int8: Int8Array, int16: Int16Array, int32: Int32Array, int64: BigInt64Array,
  uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array, uint64: BigUint64Array,
  float16: globalThis.Float16Array, float32: Float32Array, float64: Float64Array,
};

function ofScalar(value, dtype) {
  return { shape: [], bytes: new Uint8Array(new SCALARS[dtype]([value]).buffer) };
}

async function read({ path, selection }) {
  const store = new CountingStore(path);
  const array = await zarr.open.v3(store, { kind: "array" });
  const wanted = selection?.map((axis) => (Array.isArray(axis) ? zarr.slice(...axis) : axis));
  const found = await zarr.get(array, wanted ?? array.shape.map(() => null));
  const isArray = typeof found === "object" && found !== null && "stride" in found;
  const { shape, bytes } = isArray
    ? { shape: found.shape, bytes: inOrder(found) }
    : ofScalar(found, array.dtype);
  const { requests, nbytes } = store;
  return { shape, data: Buffer.from(bytes).toString("base64"), requests, nbytes };
}

for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    answer = await read(JSON.parse(line));
  } catch (error) {
    answer = { error: `${error?.name}: ${error?.message}${error?.cause ? ` (${error.cause})` : ""}` };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
