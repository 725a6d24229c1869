// SPDX-License-Identifier: Apache-2.0
#include <detente/report/html_page.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace detente::report {
namespace {

constexpr const char* kStyle = R"css(
:root{--ink:#1f2328;--muted:#59636e;--line:#d8dee4;--soft:#f6f8fa;--accent:#0072b2}
*{box-sizing:border-box}
body{margin:0;background:var(--soft);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Noto Sans KR","DejaVu Sans",sans-serif}
main{max-width:1200px;margin:0 auto;padding:28px 24px 48px}
.over{color:var(--accent);font-size:13px;font-weight:600;letter-spacing:.06em;text-transform:uppercase;margin:0}
h1{font-size:32px;line-height:1.2;margin:2px 0 10px;overflow-wrap:anywhere}
h2{font-size:20px;margin:34px 0 12px}
.labels{display:flex;flex-wrap:wrap;gap:8px;margin:0;padding:0;list-style:none}
.labels li{background:#fff;border:1px solid var(--line);border-radius:99px;padding:2px 12px;font-size:14px;color:var(--muted)}
.lead{font-size:17px;max-width:52em;margin:20px 0 0}
.note{color:var(--muted);font-size:14px;max-width:58em;margin:8px 0 0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:22px 0 0}
.tile{background:#fff;border:1px solid var(--line);border-radius:10px;padding:12px 16px;min-width:0}
.tile b{display:block;font-size:27px;line-height:1.25;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.tile span{display:block;font-size:14px;overflow-wrap:anywhere}
.tile small{display:block;color:var(--muted);font-size:13px;overflow-wrap:anywhere}
.scroll{overflow:auto;max-height:620px;background:#fff;border:1px solid var(--line);border-radius:10px}
table{border-collapse:collapse;width:100%;font-size:15px;font-variant-numeric:tabular-nums}
th,td{padding:8px 16px;text-align:left;white-space:nowrap}
th{position:sticky;top:0;background:#fff;font-size:13px;color:var(--muted);font-weight:600;border-bottom:1px solid var(--line)}
td{border-top:1px solid #eef1f4}tbody tr:first-child td{border-top:0}
.r{text-align:right}.c{text-align:center}
td.best{font-weight:700}
.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));gap:16px}
figure{margin:0;background:#fff;border:1px solid var(--line);border-radius:10px;padding:14px 14px 10px;position:relative;min-width:0}
figure h3{font-size:16px;margin:0 0 4px;line-height:1.3}
figcaption{color:var(--muted);font-size:13px;line-height:1.4;margin-top:6px}
.legend{display:flex;flex-wrap:wrap;gap:2px 14px;font-size:13.5px;color:var(--muted);min-height:21px}
.legend span{display:inline-flex;align-items:center;gap:6px;overflow-wrap:anywhere}
.legend i{flex:none;width:16px;height:0;border-top:3px solid var(--c);border-radius:2px}
.legend i.dash{border-top-style:dotted}
svg{display:block;width:100%;height:auto}
.tip{position:absolute;pointer-events:none;background:#fff;border:1px solid var(--line);border-radius:8px;box-shadow:0 4px 14px rgba(31,35,40,.14);padding:6px 10px;font-size:13px;line-height:1.45;white-space:nowrap;z-index:2;font-variant-numeric:tabular-nums}
.tip i{display:inline-block;width:9px;height:9px;border-radius:9px;margin-right:6px;background:var(--c)}
details{background:#fff;border:1px solid var(--line);border-radius:10px;margin-top:12px}
summary{cursor:pointer;padding:10px 16px;font-weight:600}
pre{margin:0;padding:4px 16px 16px;overflow-x:auto;font:13.5px/1.5 ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace}
a{color:var(--accent)}
footer{color:var(--muted);font-size:13px;margin-top:36px}
@media(max-width:600px){main{padding:18px 12px 32px}h1{font-size:25px}.lead{font-size:16px}th,td{padding:7px 12px}.tiles{grid-template-columns:repeat(2,1fr)}.tile{padding:10px 12px}.tile b{font-size:23px}figure{padding:12px 8px 8px}}
@media print{.scroll{max-height:none}body{background:#fff}figure,.tile,.scroll{break-inside:avoid}}
)css";

// Shows the values of all lines at the x nearest to the pointer.
constexpr const char* kScript = R"js(
document.querySelectorAll("figure[data-chart]").forEach(function(f){
  var d=JSON.parse(f.querySelector("script").textContent),s=f.querySelector("svg"),tip,rule;
  var xs=[];d.s.forEach(function(l){l.p.forEach(function(p){xs.push(p[0])})});
  xs=Array.from(new Set(xs)).sort(function(a,b){return a-b});
  if(!xs.length)return;
  function near(a,x,get){var lo=0,hi=a.length-1;while(hi-lo>1){var m=(lo+hi)>>1;if(get(a[m])<x)lo=m;else hi=m}
    return Math.abs(get(a[lo])-x)<=Math.abs(get(a[hi])-x)?a[lo]:a[hi]}
  function text(v){var a=Math.abs(v);return a!==0&&(a<1e-3||a>=1e5)?v.toExponential(2):String(+v.toPrecision(4))}
  function hide(){if(tip){tip.remove();rule.remove();tip=null}}
  s.addEventListener("pointermove",function(e){
    var b=s.getBoundingClientRect(),k=s.viewBox.baseVal.width/b.width,px=(e.clientX-b.left)*k;
    if(px<d.r[0]-6||px>d.r[0]+d.r[2]+6){hide();return}
    var x=near(xs,d.x[0]+(px-d.r[0])/d.r[2]*(d.x[1]-d.x[0]),function(v){return v});
    if(!tip){tip=document.createElement("div");tip.className="tip";f.appendChild(tip);
      rule=document.createElementNS("http://www.w3.org/2000/svg","line");rule.setAttribute("stroke","#59636e");
      rule.setAttribute("stroke-width","1");rule.setAttribute("stroke-dasharray","2 3");rule.setAttribute("pointer-events","none");s.appendChild(rule)}
    var rx=d.r[0]+(x-d.x[0])/(d.x[1]-d.x[0])*d.r[2];
    rule.setAttribute("x1",rx);rule.setAttribute("x2",rx);rule.setAttribute("y1",d.r[1]);rule.setAttribute("y2",d.r[1]+d.r[3]);
    tip.textContent="";var head=document.createElement("div");head.textContent=d.l+" "+text(x);tip.appendChild(head);
    d.s.forEach(function(l){if(!l.p.length)return;var p=near(l.p,x,function(q){return q[0]});
      if(Math.abs(p[0]-x)>(d.x[1]-d.x[0])/40)return;
      var row=document.createElement("div"),dot=document.createElement("i");dot.style.setProperty("--c",l.c);
      row.appendChild(dot);row.appendChild(document.createTextNode((l.n?l.n+"  ":"")+text(p[1])));tip.appendChild(row)});
    var fb=f.getBoundingClientRect(),left=b.left-fb.left+rx/k+14;
    if(left+tip.offsetWidth>fb.width-4)left=Math.max(4,b.left-fb.left+rx/k-14-tip.offsetWidth);
    tip.style.left=left+"px";tip.style.top=(b.top-fb.top+d.r[1]/k+4)+"px"});
  s.addEventListener("pointerleave",hide);
});
)js";

constexpr double kChartWidth = 460;
constexpr double kChartHeight = 268;
// Values under the pointer; more cannot be told apart with a mouse.
constexpr std::size_t kHoverPoints = 260;
constexpr std::size_t kMaxLegend = 12;

const char* css_class(Align align) {
  switch (align) {
    case Align::kRight:
      return " class=\"r\"";
    case Align::kCenter:
      return " class=\"c\"";
    case Align::kLeft:
      return "";
  }
  return "";
}

// strtod, because std::stod throws on numbers so small that they lose digits.
double short_number(double value) {
  return std::strtod(fmt::format("{:.5g}", value).c_str(), nullptr);
}

// A percent sign must not start a line of its own.
std::string prose(const std::string& text) {
  std::string out = escape_xml(text);
  for (std::size_t at = out.find(" %"); at != std::string::npos; at = out.find(" %", at)) {
    out.replace(at, 1, "\u00A0");
  }
  return out;
}

// JSON inside a <script> element must not be able to close it.
std::string script_json(const Json& json) {
  std::string out;
  for (const char c : json.dump(-1, ' ', false, Json::error_handler_t::replace)) {
    if (c == '<') {
      out += "\\u003c";
    } else {
      out += c;
    }
  }
  return out;
}

Json hover_data(const Chart& chart, const ChartFrame& frame) {
  Json series = Json::array();
  for (const auto& line : chart.series) {
    if (line.background) continue;
    std::vector<std::size_t> at;
    for (std::size_t i = 0; i < line.x.size(); ++i) {
      if (std::isfinite(line.x[i]) && std::isfinite(line.y[i])) at.push_back(i);
    }
    const std::size_t stride = at.size() / kHoverPoints + 1;
    Json points = Json::array();
    for (std::size_t i = 0; i < at.size(); i += stride) {
      points.push_back({short_number(line.x[at[i]]), short_number(line.y[at[i]])});
    }
    series.push_back({{"n", line.name}, {"c", line.color.hex()}, {"p", std::move(points)}});
  }
  const Rect& r = frame.plot;
  return {
      {"r", {short_number(r.x), short_number(r.y), short_number(r.width), short_number(r.height)}},
      {"x", {frame.x_min, frame.x_max}},
      {"l", chart.x_label},
      {"s", std::move(series)}};
}

}  // namespace

void HtmlPage::header(const std::string& overline,
                      const std::string& headline,
                      const std::vector<std::string>& labels) {
  body_ += "<header>\n<p class=\"over\">" + escape_xml(overline) + "</p>\n<h1>" +
           escape_xml(headline) + "</h1>\n<ul class=\"labels\">";
  for (const auto& label : labels) body_ += "<li>" + escape_xml(label) + "</li>";
  body_ += "</ul>\n</header>\n";
}

void HtmlPage::heading(const std::string& text) { body_ += "<h2>" + escape_xml(text) + "</h2>\n"; }

void HtmlPage::paragraph(const std::string& text) {
  body_ += "<p class=\"lead\">" + prose(text) + "</p>\n";
}

void HtmlPage::note(const std::string& text) {
  body_ += "<p class=\"note\">" + prose(text) + "</p>\n";
}

void HtmlPage::tiles(const std::vector<Tile>& tiles) {
  if (tiles.empty()) return;
  body_ += "<div class=\"tiles\">\n";
  for (const auto& tile : tiles) {
    body_ += "<div class=\"tile\"><b>" + escape_xml(tile.value) + "</b><span>" +
             escape_xml(tile.label) + "</span><small>" + escape_xml(tile.detail) +
             "</small></div>\n";
  }
  body_ += "</div>\n";
}

void HtmlPage::table(const Table& table,
                     const std::vector<std::pair<std::size_t, std::size_t>>& bold,
                     const std::vector<std::string>& links) {
  body_ += "<div class=\"scroll\"><table>\n<thead><tr>";
  const auto& columns = table.columns();
  for (std::size_t j = 0; j < columns.size(); ++j) {
    body_ += fmt::format("<th{}>", css_class(columns[j].align));
    const bool linked = j < links.size() && !links[j].empty();
    if (linked) body_ += "<a href=\"" + escape_xml(href(links[j])) + "\">";
    body_ += escape_xml(columns[j].title);
    if (linked) body_ += "</a>";
    body_ += "</th>";
  }
  body_ += "</tr></thead>\n<tbody>\n";
  for (std::size_t i = 0; i < table.rows(); ++i) {
    body_ += "<tr>";
    for (std::size_t j = 0; j < columns.size(); ++j) {
      const bool best = std::find(bold.begin(), bold.end(), std::pair{i, j}) != bold.end();
      const char* align = columns[j].align == Align::kRight    ? "r"
                          : columns[j].align == Align::kCenter ? "c"
                                                               : "l";
      body_ += fmt::format(
          "<td class=\"{}{}\">{}</td>", align, best ? " best" : "", escape_xml(table.row(i)[j]));
    }
    body_ += "</tr>\n";
  }
  body_ += "</tbody></table></div>\n";
}

void HtmlPage::begin_grid() { body_ += "<div class=\"grid\">\n"; }
void HtmlPage::end_grid() { body_ += "</div>\n"; }

void HtmlPage::chart(Chart chart, const std::string& caption) {
  const std::string title = std::move(chart.title);
  chart.title.clear();
  chart.legend = false;
  Canvas canvas(kChartWidth, kChartHeight);
  const ChartFrame frame = draw_chart(canvas, {0, 0, kChartWidth, kChartHeight}, chart);
  body_ += "<figure data-chart>\n<h3>" + escape_xml(title) + "</h3>\n<div class=\"legend\">";
  std::size_t named = 0;
  for (const auto& series : chart.series) {
    if (series.background || series.name.empty() || ++named > kMaxLegend) continue;
    body_ += fmt::format("<span><i{} style=\"--c:{}\"></i>{}</span>",
                         series.dash > 0 ? " class=\"dash\"" : "",
                         series.color.hex(),
                         escape_xml(series.name));
  }
  if (named > kMaxLegend) body_ += fmt::format("<span>and {} more</span>", named - kMaxLegend);
  body_ += "</div>\n" + to_svg(canvas, next_id(), false);
  if (!caption.empty()) body_ += "<figcaption>" + escape_xml(caption) + "</figcaption>\n";
  body_ += "<script type=\"application/json\">" + script_json(hover_data(chart, frame)) +
           "</script>\n</figure>\n";
}

void HtmlPage::figure(const std::string& title, const Canvas& canvas, const std::string& caption) {
  body_ += "<figure>\n<h3>" + escape_xml(title) + "</h3>\n" + to_svg(canvas, next_id(), false);
  if (!caption.empty()) body_ += "<figcaption>" + escape_xml(caption) + "</figcaption>\n";
  body_ += "</figure>\n";
}

void HtmlPage::folded(const std::string& title, const std::string& text, bool open) {
  body_ += fmt::format("<details{}><summary>{}</summary><pre>{}</pre></details>\n",
                       open ? " open" : "",
                       escape_xml(title),
                       escape_xml(text));
}

std::string HtmlPage::finish(const std::string& footer) const {
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
         "<meta name=\"color-scheme\" content=\"light\">\n<title>" +
         escape_xml(title_) + "</title>\n<style>" + kStyle + "</style>\n</head>\n<body>\n<main>\n" +
         body_ + "<footer>" + escape_xml(footer) + "</footer>\n</main>\n<script>" + kScript +
         "</script>\n</body>\n</html>\n";
}

std::string href(std::string_view relative_path) {
  const std::string_view first = relative_path.substr(0, relative_path.find('/'));
  std::string out = first.find(':') != std::string_view::npos ? "./" : "";
  for (const char c : relative_path) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("-._~/").find(c) != std::string_view::npos;
    if (plain) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

std::string count_text(double value) {
  if (!std::isfinite(value)) return "–";
  std::string digits = fmt::format("{:.0f}", value);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > (value < 0 ? 1 : 0);
       at -= 3) {
    digits.insert(static_cast<std::size_t>(at), ",");
  }
  return digits;
}

std::string value_text(double value, int decimals) {
  if (!std::isfinite(value)) return "–";
  if (std::abs(value) >= 1e4 || (value != 0 && std::abs(value) < 1e-4)) {
    return fmt::format("{:.6g}", value);
  }
  return fmt::format("{:.{}f}", value, decimals);
}

std::string percent_text(double share) {
  if (!std::isfinite(share)) return "–";
  const double percent = 100 * share;
  return percent > 0 && percent < 1 ? "< 1 %" : fmt::format("{:.0f} %", percent);
}

std::string duration_text(double seconds) {
  if (!std::isfinite(seconds)) return "–";
  if (seconds < 9.95) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<long long>(std::llround(seconds));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

}  // namespace detente::report
