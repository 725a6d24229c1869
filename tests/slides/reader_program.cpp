// SPDX-License-Identifier: Apache-2.0
// Reads slides as it is told, for scripts: a process that lives as long as a training does. Its arguments are
// workers, handles and seconds per request. It reads lines, words separated by tabs:
//
//   R FILE X Y LEVEL W H OUT_W OUT_H    answered by "P W H BYTES" and the pixels, or "E" and a message (JSON)
//   I FILE                              by "I" and vendor, mpp, levels (JSON), or "E"
//   T LIST                              by "T", the seconds that the regions of a file took (lines as R's, in
//                                       order) and the sum of their pixels (JSON)
//   S                                   by "S" and what has been counted (JSON)
//
// Answers come in the order of the lines; regions are asked for ahead, so that workers have something to do.
#include <detente/core/error.h>
#include <detente/core/json_text.h>
#include <detente/core/stopwatch.h>
#include <detente/slides/slide_workers.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <iostream>
#include <numeric>
#include <sstream>
#include <string>
#include <vector>

namespace {

using detente::Json;
using detente::json_text;
using namespace detente::slides;

constexpr std::size_t kAhead = 32;

struct Asked {
  SlideReader::Ticket ticket = 0;
  std::string error;
};

void say(const std::string& line) {
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fputc('\n', stdout);
}

void answer(SlideWorkers& reader, std::deque<Asked>& asked) {
  const Asked first = asked.front();
  asked.pop_front();
  try {
    if (!first.error.empty()) {
      say("E " + json_text(first.error, -1));
      return;
    }
    const Picture picture = reader.take(first.ticket);
    say("P " + std::to_string(picture.width) + " " + std::to_string(picture.height) + " " +
        std::to_string(picture.values.size()));
    std::fwrite(picture.values.data(), 1, picture.values.size(), stdout);
  } catch (const detente::Error& error) {
    say("E " + json_text(Json(error.what()), -1));
  }
}

std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words;
  std::istringstream stream(line);
  for (std::string word; std::getline(stream, word, '\t');) words.push_back(word);
  return words;
}

Region region_of(const std::vector<std::string>& words) {
  const auto number = [&](std::size_t i) { return std::atoll(words.at(i).c_str()); };
  return {number(2),
          number(3),
          static_cast<int>(number(4)),
          number(5),
          number(6),
          number(7),
          number(8)};
}

Json timed(SlideWorkers& reader, const std::string& list) {
  std::vector<std::vector<std::string>> lines;
  std::ifstream file(list);
  for (std::string line; std::getline(file, line);) lines.push_back(words_of(line));
  const detente::Stopwatch watch;
  std::deque<SlideReader::Ticket> asked;
  std::uint64_t sum = 0;
  const auto take = [&] {
    const Picture picture = reader.take(asked.front());
    asked.pop_front();
    sum = std::accumulate(picture.values.begin(), picture.values.end(), sum);
  };
  for (const auto& words : lines) {
    asked.push_back(reader.ask(words.at(1), region_of(words)));
    if (asked.size() > kAhead) take();
  }
  while (!asked.empty()) take();
  return {{"seconds", watch.seconds()}, {"sum", sum}};
}

Json what_is(SlideWorkers& reader, const std::string& file) {
  const SlideInfo info = reader.info(file);
  Json levels = Json::array();
  for (const Level& level : info.levels) levels.push_back({level.width, level.height});
  return {{"vendor", info.vendor}, {"mpp", {info.mpp_x, info.mpp_y}}, {"levels", levels}};
}

Json counts(const SlideWorkers& reader) {
  const ReaderStatistics statistics = reader.statistics();
  return {{"pictures", statistics.pictures},
          {"opened", statistics.opened},
          {"reused", statistics.reused},
          {"restarts", statistics.restarts},
          {"waited", statistics.waited_seconds},
          {"bad", reader.bad()},
          {"processes", reader.processes()}};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  try {
    SlideWorkers reader({.workers = std::atoi(argv[1]),
                         .handles = std::atoi(argv[2]),
                         .seconds = std::atof(argv[3])});
    std::deque<Asked> asked;
    std::string line;
    while (std::getline(std::cin, line)) {
      const std::vector<std::string> words = words_of(line);
      if (words.size() == 9 && words[0] == "R") {
        try {
          asked.push_back({.ticket = reader.ask(words[1], region_of(words))});
        } catch (const detente::Error& error) {
          asked.push_back({.error = error.what()});
        }
        if (asked.size() > kAhead) answer(reader, asked);
        continue;
      }
      while (!asked.empty()) answer(reader, asked);
      if (words.size() == 2 && words[0] == "I") {
        try {
          say("I " + json_text(what_is(reader, words[1]), -1));
        } catch (const detente::Error& error) {
          say("E " + json_text(Json(error.what()), -1));
        }
      } else if (words.size() == 2 && words[0] == "T") {
        say("T " + json_text(timed(reader, words[1]), -1));
      } else {
        say("S " + json_text(counts(reader), -1));
      }
      std::fflush(stdout);
    }
    while (!asked.empty()) answer(reader, asked);
    std::fflush(stdout);
    return 0;
  } catch (const detente::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return error.code() == detente::ErrorCode::kUnsupported ? 77 : 1;
  }
}
