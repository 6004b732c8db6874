/** Everything that runs in a real browser, from one minified bundle. */
import { describe } from 'vitest'
import { describeInBrowser } from '../src/index.ts'
import { drive } from './drive.ts'
import { bundleSuite } from './suites/bundle.ts'
import { gpuSuite } from './suites/gpu.ts'
import { lostSuite } from './suites/lost.ts'
import { picturesSuite } from './suites/pictures.ts'
import { trainingPageSuite } from './suites/training-page.ts'
import { wasmSuite } from './suites/wasm.ts'
import { workerSuite } from './suites/worker.ts'

// A busy machine may take its time.
describeInBrowser('in a real browser', { timeout: 300_000 }, () => {
  const driver = drive()
  describe('the bundle', () => bundleSuite(driver))
  describe('wasm', () => wasmSuite(driver))
  describe('gpu', () => gpuSuite(driver))
  describe('a device that is lost', () => lostSuite(driver))
  describe('an engine in a worker', () => workerSuite(driver))
  describe('pictures and weights', () => picturesSuite(driver))
  describe('the page that trains', () => trainingPageSuite(driver))
})
