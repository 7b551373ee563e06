// A real S3-compatible server for Onhand's tests: in a folder of its own, on loopback only, gone when it ends.
// It knows its account by the key's id; signatures of version 4 it does not check.
//
// Prints `READY <address>` once it has its bucket, `backups`. Its one account is `S3RVER`, with the secret `S3RVER`.
// Ends when its standard input does, so that it never outlives the test that started it.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import S3rver from 's3rver';

const directory = mkdtempSync(join(tmpdir(), 'onhand-s3-'));

const server = new S3rver({
    address: '127.0.0.1',
    port: 0,
    silent: true,
    vhostBuckets: false,
    directory,
    configureBuckets: [{ name: 'backups' }],
});
const { port } = await server.run();
console.log(`READY http://127.0.0.1:${port}`);

process.stdin.resume();
process.stdin.on('end', () => {
    rmSync(directory, { recursive: true, force: true });
    process.exit(0);
});
