// SPDX-License-Identifier: Apache-2.0
#include <detente/report/html_page.h>
#include <detente/report/internal/page_assets.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace detente::report {
namespace {

constexpr double kChartWidth = 460;
constexpr double kChartHeight = 268;
// Values of a line that can be read; more cannot be told apart with a mouse.
constexpr std::size_t kReadPoints = 260;

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

Json rect_json(const Rect& r) {
  return {short_number(r.x), short_number(r.y), short_number(r.width), short_number(r.height)};
}

Json line_data(const Chart& chart, const ChartFrame& frame) {
  Json series = Json::array();
  for (const auto& line : chart.series) {
    if (line.background) continue;
    std::vector<std::size_t> at;
    for (std::size_t i = 0; i < line.x.size(); ++i) {
      if (std::isfinite(line.x[i]) && std::isfinite(line.y[i])) at.push_back(i);
    }
    const std::size_t stride = at.size() / kReadPoints + 1;
    Json points = Json::array();
    for (std::size_t i = 0; i < at.size(); i += stride) {
      // The end of a line is what readers look for first.
      const std::size_t row = i + stride < at.size() ? at[i] : at.back();
      Json point{short_number(line.x[row]), short_number(line.y[row])};
      if (!line.low.empty() && std::isfinite(line.low[row]) && std::isfinite(line.high[row])) {
        point.push_back(short_number(line.low[row]));
        point.push_back(short_number(line.high[row]));
      }
      points.push_back(std::move(point));
    }
    series.push_back({{"n", line.name}, {"c", line.color.hex()}, {"p", std::move(points)}});
  }
  return {{"k", "lines"},
          {"r", rect_json(frame.plot)},
          {"x", {frame.x_min, frame.x_max}},
          {"l", chart.x_label},
          {"s", std::move(series)}};
}

Json heat_data(const HeatMap& map, const HeatFrame& frame) {
  Json values = Json::array();
  for (const double value : map.values) {
    values.push_back(std::isfinite(value) ? Json(short_number(value)) : Json(nullptr));
  }
  Json data{{"k", "heat"},
            {"r", rect_json(frame.plot)},
            {"rows", map.rows},
            {"cols", map.columns},
            {"v", std::move(values)},
            {"rt", map.row_title},
            {"ct", map.column_title},
            {"vt", map.value_title}};
  if (!map.texts.empty()) data["t"] = map.texts;
  if (!map.words.empty()) data["t"] = map.words;
  return data;
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
  body_ += "<figure data-read>\n<h3>" + escape_xml(title) + "</h3>\n<div class=\"legend\">";
  std::size_t named = 0;
  for (const auto& series : chart.series) {
    if (series.background || series.name.empty() || ++named > kMaxLegend) continue;
    body_ += fmt::format("<span><i{} style=\"--c:{}\"></i>{}</span>",
                         series.dash > 0 ? " class=\"dash\"" : "",
                         series.color.hex(),
                         escape_xml(series.name));
  }
  if (named > kMaxLegend) body_ += fmt::format("<span>and {} more</span>", named - kMaxLegend);
  body_ += "</div>\n";
  picture(title, "line chart", canvas, caption, line_data(chart, frame));
}

void HtmlPage::heat_map(const std::string& title, const HeatMap& map, const std::string& caption) {
  HeatFrame frame;
  const Canvas canvas = draw_heat_map(map, kChartWidth, &frame);
  body_ += "<figure data-read>\n<h3>" + escape_xml(title) + "</h3>\n";
  picture(title, "heat map", canvas, caption, heat_data(map, frame));
}

void HtmlPage::figure(const std::string& title,
                      const Canvas& canvas,
                      const std::string& caption,
                      const std::vector<Mark>& marks) {
  body_ += marks.empty() ? "<figure>\n<h3>" : "<figure data-read>\n<h3>";
  body_ += escape_xml(title) + "</h3>\n";
  Json data;
  if (!marks.empty()) {
    data = {{"k", "marks"}, {"m", Json::array()}};
    for (const Mark& mark : marks) {
      data["m"].push_back({short_number(mark.at.x), short_number(mark.at.y), mark.name, mark.text});
    }
  }
  picture(title, "figure", canvas, caption, data);
}

void HtmlPage::picture(const std::string& title,
                       const char* kind,
                       const Canvas& canvas,
                       const std::string& caption,
                       const Json& data) {
  if (data.is_null()) {
    body_ += to_svg(canvas, next_id(), false);
  } else {
    body_ += fmt::format(
        "<div class=\"plot\" tabindex=\"0\" role=\"application\" aria-roledescription=\"{}\" "
        "aria-label=\"{}. Arrow keys read the values.\">\n{}</div>\n",
        kind,
        escape_xml(title),
        to_svg(canvas, next_id(), false));
  }
  if (!caption.empty()) body_ += "<figcaption>" + escape_xml(caption) + "</figcaption>\n";
  if (!data.is_null()) {
    body_ += "<script type=\"application/json\">" + script_json(data) + "</script>\n";
  }
  body_ += "</figure>\n";
}

void HtmlPage::findings(const std::vector<Finding>& findings) {
  if (findings.empty()) return;
  body_ += "<ul class=\"findings\">\n";
  for (const auto& [what, advice] : findings) {
    body_ += "<li><b>" + prose(what) + "</b> " + prose(advice) + "</li>\n";
  }
  body_ += "</ul>\n";
}

void HtmlPage::folded(const std::string& title, const std::string& text, bool open) {
  body_ += fmt::format("<details{}><summary>{}</summary><pre>{}</pre></details>\n",
                       open ? " open" : "",
                       escape_xml(title),
                       escape_xml(text));
}

void HtmlPage::folded_links(const std::string& title,
                            const std::vector<std::pair<std::string, std::string>>& links) {
  body_ += "<details><summary>" + escape_xml(title) + "</summary><ul class=\"links\">\n";
  for (const auto& [name, path] : links) {
    body_ += "<li><a href=\"" + escape_xml(href(path)) + "\">" + escape_xml(name) + "</a></li>\n";
  }
  body_ += "</ul></details>\n";
}

std::string HtmlPage::finish(const std::string& footer) const {
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
         "<meta name=\"color-scheme\" content=\"light dark\">\n<title>" +
         escape_xml(title_) + "</title>\n<style>" + internal::page_style() +
         "</style>\n</head>\n<body>\n<main>\n" + body_ + "<footer>" + escape_xml(footer) +
         "</footer>\n</main>\n<div id=\"live\" class=\"heard\" role=\"status\" "
         "aria-live=\"polite\"></div>\n<script>" +
         internal::page_script() + "</script>\n</body>\n</html>\n";
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

std::string count_text(double value, const std::string& unit) {
  return count_text(value) + " " + unit + (value == 1 ? "" : "s");
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
