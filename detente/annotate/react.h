// SPDX-License-Identifier: Apache-2.0
// Thought, action, observation in turns (Yao et al., "ReAct: Synergizing Reasoning and Acting in Language Models", ICLR
// 2023, arXiv:2210.03629), with an end: after `max_steps` actions, the same action a second time, or
// `row_tokens` tokens the model is asked for its answer once more, without tools. So a row takes at most max_steps + 1 calls.
#pragma once

#include <detente/annotate/chat.h>
#include <detente/annotate/tools.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace detente::annotate {

// What a model wrote: an action or an answer, whichever comes first; text behind an action is not looked at (a model
// likes to invent the observation, too).
struct Turn {
  std::optional<std::string> action;  // what stands behind "Action:", a JSON object where it is one
  std::optional<std::string> answer;  // what stands behind "Answer:"
  std::string kept;                   // the text up to the end of either
};
Turn read_turn(std::string_view text);

struct ReactLimits {
  std::int64_t max_steps = 8;
  std::int64_t row_tokens = 16000;
};

struct ReactResult {
  std::optional<std::string> answer;  // the last text of the model; nothing: see failure
  Failure failure;
  std::string why;  // what ended it: answered, same action twice, steps, tokens
};

// `ask` sends the messages and answers.
ReactResult run_react(std::vector<Message> messages,
                      const std::vector<std::string>& tools,
                      const ToolContext& context,
                      const ReactLimits& limits,
                      CallKey& key,
                      const std::function<Reply(const std::vector<Message>&)>& ask);

}  // namespace detente::annotate
