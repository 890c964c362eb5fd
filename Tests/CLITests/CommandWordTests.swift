// The names of other programs' commands are answered with the command of imgstore for the task.

import Foundation
import TestSupport
import Testing

@Suite struct CommandWordTests {
  private static let answers = [
    ("packimage", "imgstore pack"), ("imgexport", "imgstore export"),
    ("imgimport", "imgstore import"), ("lsdef", "imgstore show IMAGE -z"),
    ("chdef", "imgstore define"), ("mkdef", "imgstore define"),
    ("rmdef", "imgstore forget IMAGE --entirely"),
    ("rmimage", "imgstore forget IMAGE --entirely"), ("genimage", "imgstore snapshot"),
    ("nodeset", "--nodeset"), ("tabdump", "imgstore images --csv"), ("liteimg", "imgstore lite"),
    ("mirror", "imgstore push REMOTE REF"), ("commit", "imgstore snapshot"),
  ]

  @Test func `a foreign command is answered, and its help, too`() throws {
    let site = try TestNode(image: "img")
    for (word, answer) in Self.answers {
      for words in [[word], [word, "img"], ["help", word]] {
        let result = try run(binary, arguments: words, environment: site.environment)
        #expect(result.status == 2, "\(words)")
        // Lines are folded at blanks.
        let text = result.errors.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        #expect(text.contains(answer), "\(words): \(text)")
      }
    }
    #expect(try site.imgstore("help", "pack").status == 0)
  }
}
