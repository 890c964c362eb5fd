// `bench` measures the requested forms, and changes neither the image nor the store.

import Foundation
import Images
import Platform
import TestSupport
import Testing

@Suite(.usesTools) struct BenchTests {
  private func prepare() throws -> (TemporaryDirectory, Workspace) {
    let directory = try TemporaryDirectory()
    let workspace = try Workspace.test(directory)
    try shell(
      """
      cd "$1"; mkdir -p usr/bin etc "with space"
      for i in $(seq 60); do seq $((i * 50)) >usr/bin/f$i; done
      head -c 3000000 /dev/urandom >usr/bin/large; ln usr/bin/f1 etc/link; ln -s f2 usr/bin/soft
      mkdir "$2/work"
      """, directory.path("root/img/rootimg"), directory.path)
    return (directory, workspace)
  }

  private func listing(_ directory: TemporaryDirectory) throws -> String {
    try shell(
      "cd \"$1\"; find root store -printf '%p %s %T@ %i\\n' | sort", directory.path
    ).output
  }

  @Test func `every form is measured cold, changed and warm, and so are the other programs`() throws
  {
    let (directory, workspace) = try prepare()
    let before = try listing(directory)
    let forms = [
      BenchForm(.cpio, .gzip), BenchForm(.tar, .gzip), BenchForm(.squashfs, .gzip),
      BenchForm(.tar, .zstd),
    ]
    var request = BenchRequest("img", forms: forms, workDirectory: directory.path("work"))
    request.changePercent = 5
    let outcome = try workspace.bench(request)
    #expect(outcome.remarks == [])
    for form in forms {
      let runs = outcome.runs.filter { $0.form == form }
      let peers = runs.filter {
        if case .peer = $0.variant { return true }
        return false
      }
      let expected = form.method == .squashfs || form.codec == .zstd ? 1 : 2
      #expect(peers.count == expected, "\(form.name): \(peers)")
      #expect(runs.map(\.variant).suffix(3) == [.cold, .changed, .warm])
      // The other programs' files of the same tree have about the same size.
      let sizes = runs.map { Double($0.sizeBytes) }
      #expect((sizes.max() ?? 0) < 1.2 * (sizes.min() ?? 0), "\(form.name): \(sizes)")
      #expect(runs.allSatisfy { $0.seconds > 0 })
    }
    let share = Double(outcome.changedBytes) / Double(outcome.contentBytes)
    #expect(share > 0.01 && share < 0.1, "\(share)")
    // The image, the store and the work directory are unchanged.
    #expect(try listing(directory) == before)
    #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path("work")) == [])
  }

  @Test func `a directory can be measured, and a missing program is reported`() throws {
    let (directory, _) = try prepare()
    var options = WorkspaceOptions(store: directory.path("store"), root: directory.path("root"))
    options.environment["PATH"] = directory.path("work")
    let workspace = try Workspace(options) { _ in }
    let outcome = try workspace.bench(
      BenchRequest("/img/rootimg", forms: [BenchForm(.cpio, .gzip)], workDirectory: directory.path))
    #expect(outcome.runs.map(\.variant) == [.cold, .changed, .warm])
    #expect(outcome.remarks.contains { $0.contains("find is not installed") })
    #expect(throws: ImageError.self) {
      try workspace.bench(BenchRequest("/img/nothing", forms: [], workDirectory: directory.path))
    }
  }
}
