// xCAT's option syntax, compared with the Perl library that xCAT uses.

import Foundation
import TestSupport
import Testing
import XCAT

@Suite struct CommandLineTests {
  private func export(_ words: String...) -> ImgexportArguments? {
    guard case .run(let arguments) = ImgexportCommandLine.read(words) else { return nil }
    return arguments
  }

  private func invalid(_ words: String...) -> String? {
    guard case .invalid(let text) = ImgimportCommandLine.read(words) else { return nil }
    return text
  }

  @Test func `options are accepted anywhere, bundled, abbreviated and with values in every form`() {
    var expected = ImgexportArguments(image: "img")
    expected.destination = "d.tgz"
    expected.extras = ["/a", "/b:/c"]
    expected.node = "n1"
    expected.remoteHost = "u@h"
    expected.isVerbose = true
    for words in [
      ["img", "d.tgz", "-e", "/a", "-e", "/b:/c", "-p", "n1", "-R", "u@h", "-v"],
      ["-ve/a", "img", "-e/b:/c", "-pn1", "d.tgz", "-Ru@h"],
      ["--extra=/a", "--EXT", "/b:/c", "--post=n1", "--r", "u@h", "--verb", "--", "img", "d.tgz"],
      ["-p", "first", "img", "d.tgz", "-vvp", "n1", "--e=/a", "--extra=/b:/c", "--R=u@h"],
    ] {
      guard case .run(let arguments) = ImgexportCommandLine.read(words) else {
        Issue.record("\(words)")
        continue
      }
      #expect(arguments == expected, "\(words)")
    }
    expected = ImgexportArguments(image: "-v")
    expected.extras = ["--"]
    expected.node = ""
    #expect(export("-e", "--", "-p", "", "--", "-v") == expected)
    #expect(export("-v")?.image == "")
  }

  @Test func `an unknown option is refused with the message of Getopt::Long`() {
    #expect(invalid("b.tgz", "--bogus") == "Unknown option: bogus")
    #expect(invalid("b.tgz", "-vxf", "p") == "Unknown option: x")
    #expect(invalid("b.tgz", "-V") == "Unknown option: V")
    #expect(invalid("b.tgz", "-f") == "Option f requires an argument")
    #expect(invalid("b.tgz", "--profile=") == "Option profile requires an argument")
    #expect(invalid("b.tgz", "--nozip=1") == "Option nozip does not take an argument")
    #expect(invalid("b.tgz", "c.tgz") == "Unexpected argument: c.tgz")
  }

  @Test func `a command line without a bundle shows the usage, and a help option the help`() {
    for words in [[], ["-v"], ["-p", "n1"]] {
      guard case .usage = ImgimportCommandLine.read(words) else {
        Issue.record("\(words)")
        continue
      }
    }
    for words in [["-h"], ["-?"], ["--help"], ["x", "--hel"], ["-vh"]] {
      guard case .help = ImgexportCommandLine.read(words) else {
        Issue.record("\(words)")
        continue
      }
    }
  }

  private enum Key { case help, verbose, node, host, extra }

  private static func ours(_ words: [String]) -> String {
    let rules: [OptionRule<Key>] = [
      OptionRule(.help, "h", "?", "help"), OptionRule(.node, "p", "postscripts", takesValue: true),
      OptionRule(.extra, "e", "extra", takesValue: true),
      OptionRule(.host, "R", "remotehost", takesValue: true), OptionRule(.verbose, "v", "verbose"),
    ]
    guard let parsed = try? parseArguments(words, rules) else { return "mistake" }
    func show(_ text: String?) -> String { text.map { "\"\($0)\"" } ?? "null" }
    func list(_ texts: [String]) -> String { "[\(texts.map(show).joined(separator: ","))]" }
    return
      "\(parsed.has(.help) ? 1 : 0) \(parsed.has(.verbose) ? 1 : 0) \(show(parsed.value(.node))) "
      + "\(show(parsed.value(.host))) \(list(parsed.values(.extra))) \(list(parsed.operands))"
  }

  @Test(.usesTools, arguments: seeds)
  func `random command lines parse as with Getopt::Long`(_ seed: UInt64) throws {
    var random = SplitMix64(seed)
    let fragments = [
      "-", "--", "-", "--", "h", "e", "p", "R", "v", "r", "E", "help", "extra", "post", "remote",
      "VERBOSE", "verb", "=", "x", "img", "?", ":", "/a", "",
    ]
    let lines = (0..<2000).map { _ in
      (0..<Int.random(in: 1...5, using: &random)).map { _ in
        (0..<Int.random(in: 1...4, using: &random)).map { _ in
          fragments.randomElement(using: &random) ?? ""
        }.joined()
      }
    }
    let input = lines.map { "\t" + $0.joined(separator: "\t") + "\n" }.joined()
    let answer = try run(fixture("scripts/oracles/parse-with-getopt-long.pl"), input: input)
    try #require(answer.didSucceed, "\(answer.errors)")
    let answers = answer.output.split(separator: "\n").map(String.init)
    try #require(answers.count == lines.count)
    for (words, expected) in zip(lines, answers) where Self.ours(words) != expected {
      Issue.record("\(words): \(Self.ours(words)), Perl: \(expected)")
    }
    #expect(answers.filter { $0 != "mistake" }.count > 200)
  }

  @Test func `the path of a bundle is derived as by fileparse`() {
    func location(_ text: String?) -> String {
      let (directory, name) = ImgexportCommandLine.destination(of: text, image: "my  image x")
      return "\(directory)|\(name)"
    }
    #expect(location(nil) == "|my_image_x.tgz")
    #expect(location("/a/b.tgz") == "/a/|b.tgz")
    #expect(location("b") == "./|b")
    #expect(location("a/") == "a/|my_image_x.tgz")
    #expect(splitExtra("/a/b:/c:d").directory == "/c:d" && splitExtra("/a/b:/c:d").file == "/a/b")
    #expect(splitExtra("a:").directory == nil && splitExtra("a").directory == nil)
  }

  @Test func `a remote file consists of a host and a path, and all else is refused`() throws {
    for host in ["mn2", "root@mn2.site", "root@[fe80::1%eth0]", "a_b@10.0.0.1"] {
      #expect(try RemoteFile(host: host, path: "~/a/b-1.tgz").text == "\(host):~/a/b-1.tgz")
    }
    for host in [
      "", "-oProxyCommand=x", "root@-v", "a b", "a;b", "a@b@c", "mn:x", "@mn", "a@", "[::1", "$(x)",
      "mn\n", "a/b", "ssh://mn", "-l", "root@-oX", "root@[::1]x", "[]", "root@", "mn\u{200b}",
      "m\u{43e}n",
    ] {
      #expect(throws: XCATError.self, "\(host)") { try RemoteFile(host: host, path: "x") }
    }
    for path in [
      "", "-r", "a b", "a;b", "$x", "`x`", "a'b", "a\"b", "a|b", "a>b", "a\nb", "a*", "a\\b",
    ] {
      #expect(throws: XCATError.self, "\(path)") { try RemoteFile(host: "mn", path: path) }
    }
    // "scp://host/path" is a URI to scp; with another host, a path may begin with slashes.
    for host in ["scp", "SCP", "ssh", "sftp"] {
      #expect(throws: XCATError.self) { try RemoteFile(host: host, path: "//evil:22/x") }
    }
    #expect(try RemoteFile(host: "mn", path: "//x").text == "mn://x")
    #expect(try RemoteFile(host: "scp", path: "/x").text == "scp:/x")
  }
}
