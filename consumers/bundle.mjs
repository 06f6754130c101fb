/** `node bundle.mjs FORMAT ENTRY OUTFILE`: bundles an entry of the working directory. */
import { build } from 'esbuild'

const [format, entry, outfile] = process.argv.slice(2)
// ioredis asks for the modules of Node.js with `require`, which an ES module does not have.
const require = "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)"
await build({
  entryPoints: [entry],
  outfile,
  format,
  bundle: true,
  minify: true,
  platform: 'node',
  banner: format === 'esm' ? { js: require } : {},
})
