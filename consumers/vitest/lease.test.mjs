import * as openTelemetryApi from '@opentelemetry/api'
import * as ioredis from 'ioredis'
import * as leasewheel from 'leasewheel'
import * as log from 'leasewheel/log'
import * as memory from 'leasewheel/memory'
import * as opentelemetry from 'leasewheel/opentelemetry'
import * as page from 'leasewheel/page'
import * as prometheus from 'leasewheel/prometheus'
import promClient from 'prom-client'
import { scenario } from '../scenario.cjs'

test('a lease is acquired, renewed and released', () =>
  scenario(
    { ioredis, leasewheel, memory, prometheus, opentelemetry, log, page, promClient, openTelemetryApi },
    process.env.REDIS_URL,
  ))
