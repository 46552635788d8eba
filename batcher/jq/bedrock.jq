# Bedrock's batch lines with bodies of Anthropic or Nova to job lines of chats. See docs/other-forms.md.
def part:
  if .text != null then {type: "text", text}
  elif .type == "image" and .source.type == "base64" then
    {type: "image_url", image_url: {url: "data:\(.source.media_type);base64,\(.source.data)"}}
  elif .image.source.bytes != null then
    {type: "image_url", image_url: {url: "data:image/\(.image.format);base64,\(.image.source.bytes)"}}
  else error("a part that is neither text nor an image: \(keys | join(", "))") end;
def content: if type == "array" then map(part) | if all(.type == "text") then map(.text) | join("") else . end
  else . end;

if has("body") then . else .modelInput as $input
| if $input.messages == null then error("no messages: a body of this model is not carried over") else . end
| if $input.tools or $input.toolConfig then error("tools are not carried over") else . end
| ($input.inferenceConfig // {}) as $set
| ($input.max_tokens // $set.maxTokens // $set.max_new_tokens) as $most
| ($input.temperature // $set.temperature) as $temperature
| ($input.top_p // $set.topP) as $top_p
| {
    custom_id: (.recordId // "line-\(input_line_number)" | tostring),
    method: "POST",
    url: "/v1/chat/completions",
    body: (
      {messages: ([$input.system | select(. != null) | {role: "system", content: content}]
        + [$input.messages[] | {role, content: (.content | content)}])}
      + (if $most != null then {max_tokens: $most} else {} end)
      + (if $temperature != null then {temperature: $temperature} else {} end)
      + (if $top_p != null then {top_p: $top_p} else {} end)
      + (if ($input.stop_sequences // $set.stopSequences) != null
          then {stop: ($input.stop_sequences // $set.stopSequences)} else {} end)
    )
  } end
