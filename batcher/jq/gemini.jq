# Gemini's and Vertex AI's batch lines to job lines of chats. See docs/other-forms.md.
def image(url): {type: "image_url", image_url: {url: url}};
def part:
  if .text != null then {type: "text", text}
  elif (.inlineData // .inline_data) != null then (.inlineData // .inline_data)
    | (.mimeType // .mime_type // "") as $type
    | if $type | startswith("image/") then image("data:\($type);base64,\(.data)")
      else error("inline data of type \($type) is no image") end
  elif (.fileData // .file_data) != null then (.fileData // .file_data)
    | (.mimeType // .mime_type // "image/") as $type
    | if $type | startswith("image/") then image(.fileUri // .file_uri)
      else error("a file of type \($type) is no image") end
  else error("a part that is neither text nor an image: \(keys | join(", "))") end;
def content: [(.parts // [])[] | part] | if all(.type == "text") then map(.text) | join("") else . end;
def message(role): {role: (if .role == "model" then "assistant" else role end), content: content};

if has("body") then . else (.request // .) as $request
| if $request.contents == null then error("no contents: an embedding is not carried over") else . end
| ($request.generationConfig // $request.generation_config // {}) as $set
| ($set.maxOutputTokens // $set.max_output_tokens) as $most
| ($request.systemInstruction // $request.system_instruction) as $system
| {
    custom_id: (.key // .custom_id // .id // "line-\(input_line_number)" | tostring),
    method: "POST",
    url: "/v1/chat/completions",
    body: (
      (if $request.model then {model: ($request.model | sub("^.*models/"; ""))} else {} end)
      + {messages: ([$system | select(. != null)
          | {role: "system", content: (if type == "string" then . else content end)}]
          + [$request.contents | if type == "array" then .[] else . end | message("user")])}
      + (if $set.temperature != null then {temperature: $set.temperature} else {} end)
      + (if ($set.topP // $set.top_p) != null then {top_p: ($set.topP // $set.top_p)} else {} end)
      + (if $most != null then {max_tokens: $most} else {} end)
      + (if ($set.stopSequences // $set.stop_sequences) != null
          then {stop: ($set.stopSequences // $set.stop_sequences)} else {} end)
      + (if $set.seed != null then {seed: $set.seed} else {} end)
      + (if ($set.responseMimeType // $set.response_mime_type) == "application/json"
          then {response_format: {type: "json_object"}} else {} end)
    )
  } end
