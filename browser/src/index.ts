/** Chromium, and a site made of the pages of this folder. */
export { chromiumPath, describeInBrowser, launch } from './chromium.ts'
export { type Site, site } from './site.ts'
