/**
 * The entry of `npm run site`: brings everything up to date (the tools of the root, the packages of this folder), makes pages of the types in
 * the source, and builds the site. A warning is a failure. Node only: nothing may be installed yet.
 */
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { installIn, run } from '../scripts/packages.mjs'

const HELP = `npm run site                 builds the documentation site into site/dist
npm run site -- --serve      builds it, then serves it
npm run site -- dev          serves it unbuilt, and shows each change of a page at once

--base /leasewheel/          where it will stand on its server; default: /
--port 4173                  the port to serve it on`

const site = dirname(fileURLToPath(import.meta.url))
const { command, serve, options } = readArguments()

run(join(site, '..'), 'node', join('scripts', 'setup.mjs'))
installIn(site, 'what builds the site')
runTool('typescript/bin/tsc')
runTool('typedoc/bin/typedoc')
vitepress(command)
if (command === 'build') console.log(`The site is in ${join(site, 'dist')}`)
if (serve) vitepress('preview')

function readArguments() {
  const { values, positionals } = parseArgs({
    options: {
      base: { type: 'string' },
      help: { type: 'boolean' },
      port: { type: 'string' },
      serve: { type: 'boolean' },
    },
    allowPositionals: true,
  })
  const [command = 'build', ...others] = positionals
  if (values.help || others.length > 0 || !['build', 'dev'].includes(command)) {
    console.error(HELP)
    process.exit(values.help ? 0 : 1)
  }
  return { command, serve: values.serve, options: { base: values.base, port: values.port } }
}

function vitepress(what) {
  const { base, port } = options
  const wanted = { base, port: what === 'build' ? undefined : port }
  const given = Object.entries(wanted).filter(([, value]) => value !== undefined)
  runTool('vitepress/bin/vitepress.js', what, ...given.flatMap(([name, value]) => [`--${name}`, value]))
}

function runTool(path, ...args) {
  run(site, 'node', join('node_modules', path), ...args)
}
