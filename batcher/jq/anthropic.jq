# Anthropic's batch lines to job lines of chats. See docs/other-forms.md.
def part:
  if .type == "text" then {type, text}
  elif .type == "image" then {type: "image_url", image_url: {url: (
    if .source.type == "base64" then "data:\(.source.media_type);base64,\(.source.data)" else .source.url end)}}
  else error("a part of type \(.type) is not carried over") end;
def content: if type == "array" then map(part) | if all(.type == "text") then map(.text) | join("") else . end
  else . end;

if has("body") then . else .params as $params
| if $params.messages == null then error("no messages: an old body is not carried over") else . end
| if $params.tools then error("tools are not carried over") else . end
| {
    custom_id: (.custom_id // "line-\(input_line_number)"),
    method: "POST",
    url: "/v1/chat/completions",
    body: (
      {model: $params.model}
      + {messages: ([$params.system | select(. != null) | {role: "system", content: content}]
          + [$params.messages[] | {role, content: (.content | content)}])}
      + ($params | with_entries(select(.key | IN("max_tokens", "temperature", "top_p"))))
      + (if $params.stop_sequences then {stop: $params.stop_sequences} else {} end)
    )
  }
| if .body.model == null then del(.body.model) else . end end
