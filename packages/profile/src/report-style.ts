/** How a report looks. */
import { darkPalette, palette } from './markup.ts'

/** Style sheet of a report; follows the reader's choice of light or dark. */
export const reportStyle: string = `
:root{color-scheme:light dark;${palette}}
@media(prefers-color-scheme:dark){:root{${darkPalette}}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:14px/1.45 system-ui,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:1240px;margin:0 auto;padding:28px 24px 64px}
h1{font-size:24px;margin:0 0 2px}h2{font-size:17px;margin:38px 0 10px}
p{margin:4px 0 12px;color:var(--soft);max-width:78ch}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:18px 0}
.tile{background:var(--panel);border:1px solid var(--line);border-radius:8px;padding:10px 14px}
.tile b{display:block;font-size:20px;font-weight:600;font-variant-numeric:tabular-nums}.tile span{color:var(--soft);font-size:12px}
.scroll{overflow-x:auto;border:1px solid var(--line);border-radius:8px}
.tree{min-width:940px;font-size:13px}
.row{display:grid;grid-template-columns:minmax(240px,1.7fr) 138px repeat(var(--bars),minmax(110px,1fr));gap:14px;align-items:center;padding:4px 12px;border-top:1px solid var(--line)}
.head{border-top:0;background:var(--panel);color:var(--soft);font-size:12px;font-weight:600;position:sticky;top:0}
.head .r{text-align:right}
summary{cursor:pointer;list-style:none}summary::-webkit-details-marker{display:none}
.name{display:flex;gap:8px;min-width:0;align-items:baseline;padding-left:calc(var(--level)*16px)}
.name::before{content:"";flex:0 0 10px;color:var(--soft);font-size:10px}
summary .name::before{content:"\\25B8"}details[open]>summary .name::before{content:"\\25BE"}
.name b{font-weight:600;white-space:nowrap;overflow:hidden;text-overflow:ellipsis;flex:0 1 auto;min-width:0}
.name i{font-style:normal;color:var(--soft);white-space:nowrap;overflow:hidden;text-overflow:ellipsis;flex:1 1 0;min-width:0}
.num{font-variant-numeric:tabular-nums;text-align:right;white-space:nowrap}
.bar{position:relative;height:20px;border-radius:4px;background:var(--track);overflow:hidden}
.bar u{position:absolute;inset:0 auto 0 0;background:var(--hue);opacity:.55;text-decoration:none}
.bar span{position:absolute;right:6px;top:1px;font-size:12px;font-variant-numeric:tabular-nums;white-space:nowrap}
summary:hover .row,.leaf:hover{background:var(--panel)}
table{border-collapse:collapse;width:100%;font-size:13px}th,td{padding:5px 12px;text-align:right;border-top:1px solid var(--line);font-variant-numeric:tabular-nums;white-space:nowrap}
th{color:var(--soft);font-size:12px;border-top:0;background:var(--panel)}th:first-child,td:first-child{text-align:left}
.stack{display:flex;height:26px;border-radius:5px;overflow:hidden;background:var(--track)}.stack u{display:block;height:100%;min-width:0}
.memory{display:grid;grid-template-columns:minmax(80px,auto) 1fr 90px;gap:10px 14px;align-items:center;margin:8px 0}
.key{display:flex;flex-wrap:wrap;gap:6px 18px;color:var(--soft);font-size:12px;margin:10px 0}.key u{display:inline-block;width:11px;height:11px;border-radius:3px;margin-right:6px;vertical-align:-1px}
.picture svg{max-width:100%;height:auto;border:1px solid var(--line);border-radius:8px}
footer{margin-top:40px;color:var(--soft);font-size:12px}
`.replaceAll('\n', '')
