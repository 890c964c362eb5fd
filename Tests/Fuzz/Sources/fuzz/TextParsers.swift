// The parsers of text, and what holds for whatever they are given: what parses renders, and what was
// rendered parses to the same.

import XCAT

/// A table's dump.
func fuzzCSV(_ bytes: [UInt8]) {
  let table: TabdumpCSV
  do { table = try TabdumpCSV.parse(bytes, "fuzz") } catch {
    hold(!error.explanation.isEmpty, "an error explains itself")
    return
  }
  do {
    let again = try TabdumpCSV.parse(Array(table.render().utf8), "again")
    hold(again.columns == table.columns, "columns come back")
    // A row without any value is a row of commas: of one column, it is a blank line, which is none.
    hold(
      again.rows == table.rows || table.columns.count == 1 && table.rows.contains([:]),
      "rows come back")
  } catch { hold(false, "what was rendered parses: \(error.explanation)") }
}

/// A bundle's litefile.csv.
func fuzzLitefile(_ bytes: [UInt8]) {
  guard let rows = try? LitefileRows.parse(bytes) else { return }
  for row in rows {
    hold(!row.options.isEmpty && row.file.utf8.first == 0x2f, "a row has a path and options")
  }
  do {
    let text = try LitefileRows.render(image: "image", rows)
    hold(try LitefileRows.parse(Array(text.utf8)) == rows, "rendered and parsed again is the same")
  } catch { hold(false, "what was parsed renders: \(error)") }
}

/// Stanzas, of both writers, for both readers.
func fuzzStanza(_ bytes: [UInt8]) {
  for writer in [StanzaFile.Writer.lsdef, .anybody] {
    guard let objects = try? StanzaFile.parse(bytes, from: writer) else { continue }
    for reader in [StanzaFile.Reader.anybody, .xCAT] {
      guard let text = try? StanzaFile.render(objects, for: reader) else { continue }
      do {
        hold(
          try StanzaFile.parse(Array(text.utf8), from: .anybody) == objects,
          "stanzas come back")
      } catch { hold(false, "what was rendered parses: \(error.explanation)") }
    }
  }
}

/// A pattern, a line break, and a text to look for it in.
func fuzzPattern(_ bytes: [UInt8]) {
  let text = String(decoding: bytes, as: UTF8.self)
  let cut = text.utf8.firstIndex(of: 0x0a) ?? text.endIndex
  let subject = String(text[cut...])
  guard let pattern = try? PerlPattern(String(text[..<cut])),
    let match = try? pattern.firstMatch(in: subject)
  else { return }
  let all = 0..<subject.utf8.count
  for range in [match.range] + match.groups.compactMap({ $0 }) {
    hold(range.lowerBound >= all.lowerBound && range.upperBound <= all.upperBound, "it is inside")
  }
}

/// What fuzzing of text begins from.
enum TextSeeds {
  static func of(_ parser: Parser) -> [[UInt8]] {
    let texts: [String]
    switch parser {
    case .litefile:
      texts = [
        "", "# comment\n", "\"image\",\"/etc/hosts\",\"tmpfs,rw\",,\n",
        "\"image\",\"/var/lib/\",\"persistent\",\"a \"\"quoted\"\" word\",\"1\"\r\n",
        "image,/etc/motd,ro\n\n\"image\",\"/root/.ssh/\",\"\",,\n",
      ]
    case .csv:
      texts = [
        "#a\n", "#image,file,options,comments,disable\n\"ALL\",\"/etc/hosts\",\"tmpfs,rw\",,\n",
        "#node,groups\n\"n1\",\"all,compute\"\n\"n2\",\"line\nbreak\"\n\"n3\",\"\"\"q\"\"\"\n",
        "#a,b\r\n1,2\r\n\r\n,\r\n",
      ]
    case .stanza:
      texts = [
        "# <xCAT data object stanza file>\n\nimage:\n    objtype=osimage\n    profile=compute\n",
        "a,b:\n  objtype=node\n  arch=\"x86_64\"\n  comment='x:'\n",
        "xcatdefaults:\n objtype=osimage\n pkglist=/a,/b\n x=\n", "n:\nobjtype=node\n\n\nm:\n",
      ]
    case .pattern:
      texts = [
        "^n(\\d+)$\nn12", "(a|b)*c\naabbc", "[a-f[:digit:]]{2,3}?\nzzab1",
        "\\bx(?:y|z)+\\w*\n xyzz",
        "(?i)a.b\\\\\nA-B\\", "(a*)*b\n" + String(repeating: "a", count: 40),
      ]
    default: texts = []
    }
    return texts.map { Array($0.utf8) }
  }
}
