import { createRequire } from 'node:module'
import * as openTelemetryApi from '@opentelemetry/api'
import * as ioredis from 'ioredis'
import * as leasewheel from 'leasewheel'
import * as prometheus from 'leasewheel/prometheus'
import promClient from 'prom-client'
import { scenario } from '../scenario.cjs'

// Two copies of the package in one program: the backend and most of what shows the manager come from the other one.
const require = createRequire(import.meta.url)
const [memory, opentelemetry, log, page] = ['memory', 'opentelemetry', 'log', 'page'].map((name) =>
  require(`leasewheel/${name}`),
)

await scenario(
  { ioredis, leasewheel, memory, prometheus, opentelemetry, log, page, promClient, openTelemetryApi },
  process.env.REDIS_URL,
)
