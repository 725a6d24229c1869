// SPDX-License-Identifier: Apache-2.0
#include <detente/report/html_page.h>
#include <detente/report/pixels.h>
#include <fmt/format.h>

namespace detente::report {
namespace {

const char* tone_class(HtmlPage::Card::Tone tone) {
  switch (tone) {
    case HtmlPage::Card::Tone::kHelpful:
      return " class=\"help\"";
    case HtmlPage::Card::Tone::kHarmful:
      return " class=\"harm\"";
    case HtmlPage::Card::Tone::kPlain:
      break;
  }
  return "";
}

}  // namespace

void HtmlPage::cards(const std::string& title,
                     const std::vector<Card>& cards,
                     const std::string& caption) {
  body_ += "<figure class=\"examples\">\n<h3>" + escape_xml(title) + "</h3>\n";
  if (!caption.empty()) body_ += "<figcaption>" + escape_xml(caption) + "</figcaption>\n";
  body_ += "<div class=\"cards\">\n";
  for (const Card& card : cards) {
    body_ += fmt::format("<div class=\"card\"><header><span>{}</span><b{}>{}</b></header>",
                         escape_xml(card.title),
                         tone_class(card.tone),
                         escape_xml(card.badge));
    if (is_png_text(card.png)) {
      body_ += fmt::format(
          "<img alt=\"{}\" src=\"data:image/png;base64,{}\">", escape_xml(card.title), card.png);
    }
    if (is_wav_text(card.wav)) {
      body_ += fmt::format(
          "<audio controls preload=\"none\" aria-label=\"{}\" src=\"data:audio/wav;base64,{}\">"
          "</audio>",
          escape_xml(card.title),
          card.wav);
    }
    if (!card.cells.empty()) {
      body_ += "<dl>";
      for (const auto& [name, text] : card.cells) {
        body_ += "<dt>" + escape_xml(name) + "</dt><dd>" + escape_xml(text) + "</dd>";
      }
      body_ += "</dl>";
    }
    body_ += "</div>\n";
  }
  body_ += "</div>\n</figure>\n";
}

}  // namespace detente::report
