// SPDX-License-Identifier: Apache-2.0
#include <detente/report/heatmap.h>
#include <detente/report/internal/page_assets.h>
#include <fmt/format.h>

#include <array>
#include <cstdint>

namespace detente::report::internal {
namespace {

constexpr const char* kStyle = R"css(
:root{--ink:#1f2328;--muted:#59636e;--line:#d8dee4;--soft:#f6f8fa;--card:#fff;--thin:#eef1f4;--accent:#0072b2;--harm:#b84f00;color-scheme:light dark}
*{box-sizing:border-box}
body{margin:0;background:var(--soft);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Noto Sans KR","DejaVu Sans",sans-serif}
main{max-width:1200px;margin:0 auto;padding:28px 24px 48px}
.over{color:var(--accent);font-size:13px;font-weight:600;letter-spacing:.06em;text-transform:uppercase;margin:0}
h1{font-size:32px;line-height:1.2;margin:2px 0 10px;overflow-wrap:anywhere}
h2{font-size:20px;margin:34px 0 12px}
.labels{display:flex;flex-wrap:wrap;gap:8px;margin:0;padding:0;list-style:none}
.labels li{background:var(--card);border:1px solid var(--line);border-radius:99px;padding:2px 12px;font-size:14px;color:var(--muted)}
.lead{font-size:17px;max-width:52em;margin:20px 0 0}
.note{color:var(--muted);font-size:14px;max-width:58em;margin:8px 0 0}
.findings{max-width:58em;margin:12px 0;padding:0 0 0 1.2em}
.findings li{margin:8px 0}
.findings b{font-weight:600}
.tables{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,440px),1fr));gap:16px;margin-top:12px;align-items:start}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:22px 0 0}
.tile{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 16px;min-width:0}
.tile b{display:block;font-size:27px;line-height:1.25;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.tile span{display:block;font-size:14px;overflow-wrap:anywhere}
.tile small{display:block;color:var(--muted);font-size:13px;overflow-wrap:anywhere}
.scroll{width:fit-content;min-width:min(100%,560px);max-width:100%;overflow:auto;max-height:620px;background:var(--card);border:1px solid var(--line);border-radius:10px}
.scroll+.scroll,.grid+.scroll,.note+.scroll,.findings+.scroll{margin-top:12px}
.note+.grid,.scroll+.grid{margin-top:14px}
.lead+.lead{margin-top:10px}
.lead+.grid{margin-top:14px}
.scroll+.note{margin-top:10px}
table{border-collapse:collapse;width:100%;font-size:15px;font-variant-numeric:tabular-nums}
th,td{padding:8px 16px;text-align:left;white-space:nowrap}
th{position:sticky;top:0;background:var(--card);font-size:13px;color:var(--muted);font-weight:600;border-bottom:1px solid var(--line)}
td{border-top:1px solid var(--thin)}tbody tr:first-child td{border-top:0}
.r{text-align:right}.c{text-align:center}
td.best{font-weight:700}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,440px),1fr));gap:16px}
figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 14px 10px;position:relative;min-width:0}
figure h3{font-size:16px;margin:0 0 4px;line-height:1.3}
figcaption{color:var(--muted);font-size:13px;line-height:1.4;margin-top:6px}
.legend{display:flex;flex-wrap:wrap;gap:2px 14px;font-size:13.5px;color:var(--muted);min-height:21px}
.legend span{display:inline-flex;align-items:center;gap:6px;overflow-wrap:anywhere}
.legend i{flex:none;width:16px;height:0;border-top:3px solid var(--c);border-radius:2px}
.legend i.dash{border-top-style:dotted}
.legend em{flex:none;width:12px;height:12px;border-radius:3px}
.note+.grid{margin-top:12px}
.grid+.grid{margin-top:16px}
.grid+.note{margin-top:22px}
.examples{margin-top:16px}
.examples+.scroll{margin-top:16px}
.examples h4{font-size:14px;font-weight:600;margin:10px 0 6px}
.pics{display:flex;flex-wrap:wrap;gap:8px 14px;margin-bottom:8px}
.pics>div{display:flex;gap:4px;max-width:100%}
.pics span{flex:0 1 var(--w);min-width:0}
.pics img{display:block;width:var(--w);max-width:100%;height:auto;border-radius:4px;image-rendering:pixelated}
.pics small{display:block;color:var(--muted);font-size:13px;overflow-wrap:anywhere}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,250px),1fr));gap:12px;margin-top:10px;align-items:start}
.card{border:1px solid var(--line);border-radius:8px;padding:10px 12px;min-width:0}
.card header{display:flex;justify-content:space-between;gap:10px;align-items:baseline;margin-bottom:6px}
.card header span{color:var(--muted);font-size:13px;overflow-wrap:anywhere;min-width:0}
.card header b{font-size:15px;flex:none;max-width:65%;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}
.card .harm{color:var(--harm)}.card .help{color:var(--accent)}
.card img{display:block;width:144px;max-width:100%;height:auto;border-radius:4px;image-rendering:pixelated;margin-bottom:6px}
.card audio{display:block;width:100%;height:36px;margin-bottom:6px}
.card dl{margin:0;font-size:14px;line-height:1.4}
.card dt{color:var(--muted);font-size:12.5px}
.card dd{margin:0 0 5px;overflow-wrap:anywhere;white-space:pre-wrap;max-height:9.8em;overflow:auto}
svg{display:block;width:100%;height:auto}
.plot{outline-offset:3px;border-radius:4px}
.plot:focus-visible{outline:2px solid var(--accent)}
.mark{fill:none;stroke:var(--ink);stroke-width:1.2;pointer-events:none}
.mark[width="0"]{stroke:var(--muted);stroke-width:1;stroke-dasharray:2 3}
.heard{position:absolute;width:1px;height:1px;margin:-1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.tip{position:absolute;pointer-events:none;background:var(--card);border:1px solid var(--line);border-radius:8px;box-shadow:0 4px 14px rgba(31,35,40,.14);padding:6px 10px;font-size:13px;line-height:1.45;max-width:calc(100% - 8px);overflow-wrap:anywhere;z-index:2;font-variant-numeric:tabular-nums}
.tip b{display:block;font-weight:600}
.tip i{display:inline-block;width:9px;height:9px;border-radius:9px;margin-right:6px;background:var(--c)}
details{background:var(--card);border:1px solid var(--line);border-radius:10px;margin-top:12px}
summary{cursor:pointer;padding:10px 16px;font-weight:600}
pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:0;padding:4px 16px 16px;overflow-x:auto;font:13.5px/1.5 ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace}
.links{margin:0;padding:0 16px 14px 34px;columns:220px;font-size:15px}
a{color:var(--accent)}
footer{color:var(--muted);font-size:13px;margin-top:36px}
@media(max-width:600px){main{padding:18px 12px 32px}h1{font-size:25px}.lead{font-size:16px}th,td{padding:7px 12px}.tiles{grid-template-columns:repeat(2,1fr)}.tile{padding:10px 12px}.tile b{font-size:23px}figure{padding:12px 8px 8px}}
@media print{.scroll{max-height:none}body{background:#fff}figure,.tile,.scroll{break-inside:avoid}}
)css";

constexpr const char* kDarkStyle =
    ":root{--ink:#e6edf3;--muted:#9aa5b1;--line:#343b44;--soft:#0f1318;--card:#171c22;"
    "--thin:#262c34;--accent:#58a6e0;--harm:#f58b3f}";

// What pictures are drawn with, and its like on a dark ground: letters and lines first, then the
// colours of line_color() that would be hard to see there.
struct Twin {
  std::uint32_t light;
  std::uint32_t dark;
};
constexpr std::array kTwins = {Twin{0x24292f, 0xe6edf3},
                               Twin{0x333333, 0xd5dce3},
                               Twin{0x57606a, 0x9aa5b1},
                               Twin{0x9aa4ae, 0x6b7580},
                               Twin{0xc9d1d9, 0x3d4650},
                               Twin{0xe6e9ed, 0x2a313a},
                               Twin{0x0072b2, 0x4aa3e0},
                               Twin{0xd55e00, 0xf07c28},
                               Twin{0x009e73, 0x1fbf92},
                               Twin{0x5b4fa2, 0x9d90f0},
                               Twin{0x7f7f7f, 0xa0a0a0}};

void replace_color(std::string& css, const Color& light, const Color& dark) {
  css += fmt::format(
      "svg [fill=\"{0}\"]{{fill:{1}}}svg [stroke=\"{0}\"]{{stroke:{1}}}", light.hex(), dark.hex());
}

}  // namespace

std::string page_style() {
  std::string css = kStyle;
  css += "@media screen and (prefers-color-scheme:dark){\n";
  css += kDarkStyle;
  css += "svg [stroke=\"#ffffff\"]{stroke:var(--card)}";
  for (const auto& [light, dark] : kTwins) {
    replace_color(css, rgb(light), rgb(dark));
    css += fmt::format("[style=\"--c:{}\"]{{--c:{}!important}}", rgb(light).hex(), rgb(dark).hex());
  }
  for (const HeatScale scale : {HeatScale::kSequential, HeatScale::kDiverging}) {
    for (int level = 0; level <= kHeatLevels; ++level) {
      const Color light = heat_color(scale, level);
      css += fmt::format(
          "svg [fill=\"{}\"]{{fill:{}}}", light.hex(), heat_color(scale, level, true).hex());
    }
  }
  return css + "\n}\n";
}

}  // namespace detente::report::internal
