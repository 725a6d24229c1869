// SPDX-License-Identifier: Apache-2.0
#include <detente/report/html_page.h>
#include <fmt/format.h>

namespace detente::report {
namespace {

// So many have room beside each other at their full width; of more, seven do when they are smaller.
constexpr std::size_t kFewPictures = 5;
// Of small ones so many at most have room for a word below them.
constexpr std::size_t kManySmall = 8;

// In pixels, of a picture in a row of so many.
int picture_width(std::size_t count, bool small) {
  if (small) return count <= kManySmall ? 116 : 84;
  return count <= kFewPictures ? 192 : 148;
}

}  // namespace

void HtmlPage::pictures(const std::string& title,
                        const std::vector<PictureRow>& rows,
                        const std::vector<Legend>& legends,
                        const std::string& caption) {
  body_ += "<figure class=\"examples\">\n<h3>" + escape_xml(title) + "</h3>\n";
  for (const PictureRow& row : rows) {
    std::size_t count = 0;
    for (const auto& group : row.groups) count += group.size();
    body_ += fmt::format("<h4>{}</h4>\n<div class=\"pics\" style=\"--w:{}px\">\n",
                         escape_xml(row.name),
                         picture_width(count, row.small));
    for (const auto& group : row.groups) {
      body_ += "<div>";
      for (const Picture& picture : group) {
        body_ += fmt::format(
            "<span><img alt=\"{}\" src=\"data:image/png;base64,{}\"><small>{}</small></span>",
            escape_xml(row.name + ": " + picture.name),
            escape_xml(picture.png),
            escape_xml(picture.name));
      }
      body_ += "</div>\n";
    }
    body_ += "</div>\n";
  }
  for (const Legend& legend : legends) {
    body_ += "<div class=\"legend\">";
    if (!legend.name.empty()) body_ += "<span><b>" + escape_xml(legend.name) + "</b></span>";
    for (const auto& [color, name] : legend.entries) {
      body_ += fmt::format(
          "<span><em style=\"background:{}\"></em>{}</span>", color.hex(), escape_xml(name));
    }
    body_ += "</div>\n";
  }
  if (!caption.empty()) body_ += "<figcaption>" + escape_xml(caption) + "</figcaption>\n";
  body_ += "</figure>\n";
}

}  // namespace detente::report
