#!/usr/bin/env bash
# prom-client 15.1.3: a counter that two registries share, one of them for OpenMetrics. The first OpenMetrics scrape renames the counter object itself, so
# from then on the plain registry exports it without `_total`: a series that has run for weeks ends, and another begins.
# Seen on Node.js 20.20:
#   plain scrape before: jobs_total 3
#   plain scrape after the other registry was scraped: jobs 3
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund prom-client@15.1.3 >/dev/null
cat > try.cjs <<'JS'
const { Counter, Registry } = require('prom-client')
const series = (text) => text.split('\n').filter((line) => line !== '' && !line.startsWith('#')).join(', ')
async function main() {
  const plain = new Registry()
  const openMetrics = new Registry(Registry.OPENMETRICS_CONTENT_TYPE)
  new Counter({ name: 'jobs_total', help: 'Jobs done.', registers: [plain, openMetrics] }).inc(3)
  console.log(`plain scrape before: ${series(await plain.metrics())}`)
  await openMetrics.metrics()
  console.log(`plain scrape after the other registry was scraped: ${series(await plain.metrics())}`)
}
main()
JS
output=$(node try.cjs)
echo "$output"
expected='plain scrape before: jobs_total 3
plain scrape after the other registry was scraped: jobs 3'
[ "$output" = "$expected" ] || { echo 'It behaves otherwise now.' >&2; exit 1; }
