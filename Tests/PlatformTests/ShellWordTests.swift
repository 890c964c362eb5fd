// Quoting for the shell, with bash as the reference.

import Platform
import TestSupport
import Testing

@Suite(.usesTools) struct ShellWordTests {
  private static let texts = [
    "", "plain", "/a b/c", "it's", "a\"b", "$HOME", "`id`", "a\\b", "back\\", "wow!", "*", "a;b",
    "tab\tx", "line\nx", "é ü", "~", "a'b\"c", "#x", "[x]", "{a,b}", "a&b", "-n x",
  ]

  @Test func `bash reads a quoted text as the text`() throws {
    for text in Self.texts {
      let word = shellQuoted(text)
      let result = try run("bash", "-c", "printf %s \(word)")
      #expect(result.output == text, "\(word)")
      // An interactive bash also expands "!".
      let typed = try run(
        "bash", "-c", "set -H; set -o history; eval \"printf '%s' $1\"", "x", word)
      #expect(typed.output == text, "\(word)")
    }
  }

  @Test func `a text with a blank gets double quotes, which are readable in quoted commands`() {
    #expect(shellQuoted("/a b") == "\"/a b\"")
    #expect(shellQuoted("it's") == "\"it's\"")
    #expect(shellQuoted("/a/b-c_d.e@1:f") == "/a/b-c_d.e@1:f")
    #expect(shellQuoted("$x") == "'$x'")
  }
}
