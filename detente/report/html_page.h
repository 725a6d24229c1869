// SPDX-License-Identifier: Apache-2.0
// The parts every report page is made of. Pages hold everything they show: style, script and
// pictures are inline, nothing is loaded from anywhere.
#pragma once

#include <detente/core/json.h>
#include <detente/report/chart.h>
#include <detente/report/heatmap.h>
#include <detente/report/table.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace detente::report {

class HtmlPage {
 public:
  // `title` stands in the window's title bar.
  explicit HtmlPage(std::string title) : title_(std::move(title)) {}

  // Head of the page: a small line, the headline, and labels below it. Plain text.
  void header(const std::string& overline,
              const std::string& headline,
              const std::vector<std::string>& labels);
  void heading(const std::string& text);
  void paragraph(const std::string& text);
  void note(const std::string& text);  // a paragraph in small grey letters

  // Large numbers in a row.
  struct Tile {
    std::string value;
    std::string label;
    std::string detail;
  };
  void tiles(const std::vector<Tile>& tiles);

  // `bold` marks cells (row, column); `links` has a path relative to the page for column titles
  // that lead to another page, "" for the others.
  void table(const Table& table,
             const std::vector<std::pair<std::size_t, std::size_t>>& bold = {},
             const std::vector<std::string>& links = {});

  // Charts between begin_grid and end_grid stand side by side where there is room. The title and
  // legend become text of the page; values show under the pointer and are read with arrow keys.
  void begin_grid();
  void chart(Chart chart, const std::string& caption = "");
  void heat_map(const std::string& title, const HeatMap& map, const std::string& caption = "");
  // Any other picture of that kind. What can be read in it are its marks, in this order.
  struct Mark {
    Point at;
    std::string name;
    std::string text;  // its values in words
  };
  void figure(const std::string& title,
              const Canvas& canvas,
              const std::string& caption = "",
              const std::vector<Mark>& marks = {});
  void end_grid();

  // Small pictures of pixels, in rows; those of a group stay beside each other. `png`: a file in base64.
  // Outside of a grid.
  struct Picture {
    std::string name;
    std::string png;
  };
  struct PictureRow {
    std::string name;
    std::vector<std::vector<Picture>> groups;
    bool small = false;  // about half as large
  };
  struct Legend {
    std::string name;
    std::vector<std::pair<Color, std::string>> entries;
  };
  void pictures(const std::string& title,
                const std::vector<PictureRow>& rows,
                const std::vector<Legend>& legends,
                const std::string& caption = "");

  // Examples side by side, each with what is known of it. Of `png` and `wav`, files in base64, what
  // is none (is_png_text, is_wav_text) is left out. Outside of a grid.
  struct Card {
    enum class Tone { kPlain, kHelpful, kHarmful };
    std::string title;
    std::string badge;  // a word or number that stands out, in the colour of `tone`
    Tone tone = Tone::kPlain;
    std::string png;
    std::string wav;
    std::vector<std::pair<std::string, std::string>> cells;  // name and text
  };
  void cards(const std::string& title,
             const std::vector<Card>& cards,
             const std::string& caption = "");

  // A list; of each entry the first part stands out.
  struct Finding {
    std::string what;
    std::string advice;
  };
  void findings(const std::vector<Finding>& findings);

  // Preformatted text behind a line that opens it.
  void folded(const std::string& title, const std::string& text, bool open = false);

  // The same with links: names, and paths relative to the page.
  void folded_links(const std::string& title,
                    const std::vector<std::pair<std::string, std::string>>& links);

  std::string finish(const std::string& footer) const;

 private:
  void picture(const std::string& title,
               const char* kind,
               const Canvas& canvas,
               const std::string& caption,
               const Json& data);
  std::string next_id() { return "c" + std::to_string(++charts_); }

  std::string title_;
  std::string body_;
  int charts_ = 0;
};

// The address of a file relative to the page, whatever the names on the way: all but letters,
// digits and -._~/ are percent-encoded, and a first name that could be read as a scheme
// ("javascript:") is led by "./".
std::string href(std::string_view relative_path);

// "12,345"; "–" for NaN.
std::string count_text(double value);
// "1 epoch", "1,200 epochs".
std::string count_text(double value, const std::string& unit);
// "0.6123"; "–" for NaN.
std::string value_text(double value, int decimals = 4);
// "37 %"; "–" for NaN.
std::string percent_text(double share);
// "3 min 12 s"; "–" for NaN.
std::string duration_text(double seconds);

}  // namespace detente::report
