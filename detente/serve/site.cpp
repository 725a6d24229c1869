// SPDX-License-Identifier: Apache-2.0
#include <detente/core/error.h>
#include <detente/core/json_text.h>
#include <detente/report/html_page.h>
#include <detente/serve/pages.h>
#include <detente/serve/site.h>
#include <fmt/format.h>

#include <chrono>

namespace detente::serve {
namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t kMaxFile = 64ULL << 20;
// Reading logs for a list; what is not read by then comes with the next one.
constexpr milliseconds kListTime(1500);
constexpr double kListRefresh = 3;

// Pages hold their style and script; nothing is loaded, framed or sent to anybody else.
constexpr const char* kOwnPolicy =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
// A file may be anybody's: its script runs apart from everything else that is served here.
constexpr const char* kFilePolicy =
    "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; script-src "
    "'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

Answer refused(int status, const std::string& title, const std::string& text) {
  Answer answer;
  answer.status = status;
  answer.body = message_page(title, text);
  return answer;
}

Answer json_answer(const Json& json) {
  Answer answer;
  answer.type = "application/json";
  answer.body = json_text(json, -1) + "\n";
  return answer;
}

Answer not_found() {
  return refused(404, "Not found", "There is no such run or file here, or it is not served.");
}

Answer moved(const std::string& address) {
  Answer answer = refused(302, "Moved", "This page is at another address.");
  answer.headers.emplace_back("Location", address);
  return answer;
}

// `state`: the address, before the segments, that the page asks for what is new.
Answer live_page(const LiveRun::Page& page, const std::string& state, const Segments& segments) {
  Answer answer;
  answer.body = with_live_script(
      page.html, state + report::href(joined(segments)), page.version, page.refresh_seconds());
  return answer;
}

}  // namespace

Answer Site::run_page(const Segments& segments) {
  const auto run = list_.find(segments);
  const auto page = run ? run->page() : nullptr;
  if (!page) return not_found();
  return live_page(*page, "/api/run/", segments);
}

Answer Site::run_state(const Segments& segments) {
  const auto run = list_.find(segments);
  if (!run) return not_found();
  const std::string version = run->version();
  Json status = run->status(LogTail::Clock::now()).to_json();
  return json_answer(
      {{"version", version}, {"refresh", run->refresh_seconds()}, {"status", std::move(status)}});
}

Answer Site::study_page(const Segments& segments) {
  const auto study = list_.find_study(segments);
  if (!study) return not_found();
  const auto page = study->page();
  if (!page) {
    // What the study trains is not said here: its page is what was made last.
    Segments last = segments;
    last.emplace_back("comparison.html");
    if (folder_.has_file(last)) return moved("/files/" + report::href(joined(last)));
    return refused(404,
                   "No page yet",
                   "This study's study.json does not say what it trains (an earlier version of "
                   "Detente wrote it, or it is damaged). `detente report` on its folder, or the "
                   "command that made it, writes it again.");
  }
  return live_page(*page, "/api/study/", segments);
}

Answer Site::study_state(const Segments& segments) {
  const auto study = list_.find_study(segments);
  if (!study) return not_found();
  const std::string version = study->version();
  return json_answer({{"version", version},
                      {"refresh", study->refresh_seconds()},
                      {"status", study->status().to_json()}});
}

Answer Site::run_states() {
  Json runs = Json::array();
  Json studies = Json::array();
  const auto deadline = LogTail::Clock::now() + kListTime;
  for (const auto& run : list_.runs()) {
    Json one = run->status(deadline).to_json();
    one["path"] = report::href(joined(run->segments()));
    runs.push_back(std::move(one));
  }
  for (const auto& study : list_.studies()) {
    Json one = study->status().to_json();
    one["path"] = report::href(joined(study->segments()));
    studies.push_back(std::move(one));
  }
  return json_answer({{"refresh", kListRefresh},
                      {"more", list_.cut()},
                      {"studies", std::move(studies)},
                      {"runs", std::move(runs)}});
}

Answer Site::file(const Segments& segments) {
  const auto type = content_type_of(segments);
  if (!type) return not_found();
  // A run's page is always the one of now, and a study's where it can be made.
  const Segments parent(segments.begin(), segments.end() - 1);
  if (segments.back() == "report.html" && is_run(folder_, parent)) {
    return moved("/run/" + report::href(joined(parent)));
  }
  if (segments.back() == "comparison.html") {
    const auto study = list_.find_study(parent);
    if (study && study->status().runs > 0) return moved("/study/" + report::href(joined(parent)));
  }
  const auto found = folder_.open(segments);
  if (!found) return not_found();
  if (found->size() > kMaxFile) {
    return refused(413,
                   "Too large",
                   fmt::format("This file has {} MiB; files above {} MiB are not sent.",
                               found->size() >> 20U,
                               kMaxFile >> 20U));
  }
  Answer answer;
  answer.type = *type;
  answer.body = found->read(0, static_cast<std::size_t>(found->size()));
  answer.headers.emplace_back("Content-Security-Policy", kFilePolicy);
  return answer;
}

Answer Site::routed(const Request& request) {
  if (request.method != "GET" && request.method != "HEAD") {
    Answer answer = refused(
        405, "Only reading", "Only GET and HEAD are answered; nothing can be changed here.");
    answer.headers.emplace_back("Allow", "GET, HEAD");
    return answer;
  }
  if (request.hosts.size() != 1 || !host_allowed(request.hosts.front(), port_)) {
    return refused(
        403,
        "Another host",
        fmt::format("Requests must be for localhost:{0} or 127.0.0.1:{0}. Through an SSH tunnel "
                    "use the same port at both ends: ssh -L {0}:127.0.0.1:{0} HOST.",
                    port_));
  }
  const auto path = path_of(request.target);
  if (!path) return refused(400, "No such path", "This is no path of a file or a run.");
  if (path->empty()) {
    Answer answer;
    // Runs that were put side by side have a page without being a study.
    answer.body = index_page(folder_.path().filename().string(),
                             folder_.has_file({"comparison.html"}) && !is_study(folder_, {}));
    return answer;
  }
  const bool api = path->front() == "api";
  const std::size_t word = api ? 1 : 0;
  if (path->size() <= word) return not_found();
  const std::string& kind = (*path)[word];
  const Segments rest(path->begin() + static_cast<std::ptrdiff_t>(word) + 1, path->end());
  if (api && kind == "runs" && rest.empty()) return run_states();
  if (api && kind == "run") return run_state(rest);
  if (!api && kind == "run") return run_page(rest);
  if (api && kind == "study") return study_state(rest);
  if (!api && kind == "study") return study_page(rest);
  if (!api && kind == "files") return file(rest);
  return not_found();
}

Answer Site::answer(const Request& request) {
  Answer answer;
  try {
    answer = routed(request);
  } catch (const std::exception& error) {
    answer = refused(500, "This could not be shown", error.what());
  }
  bool has_policy = false;
  for (const auto& [name, value] : answer.headers) has_policy |= name == "Content-Security-Policy";
  if (!has_policy) answer.headers.emplace_back("Content-Security-Policy", kOwnPolicy);
  for (const auto& [name, value] :
       {std::pair<const char*, const char*>{"Cache-Control", "no-store"},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        {"Referrer-Policy", "no-referrer"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Cross-Origin-Opener-Policy", "same-origin"}}) {
    answer.headers.emplace_back(name, value);
  }
  return answer;
}

}  // namespace detente::serve
