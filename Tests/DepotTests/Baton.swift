// Runs actors on threads of their own, one at a time: before each request of an object store, a seeded generator decides
// who goes on. So a seed fixes the whole history.

import DepotTestSupport
import Glibc
import ObjectStorage
import Platform

/// A counting semaphore of the C library: one system call to wake one thread.
final class Semaphore: @unchecked Sendable {  // the C library synchronizes
  private let raw = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
  init() { sem_init(raw, 0, 0) }
  deinit {
    sem_destroy(raw)
    raw.deallocate()
  }
  func signal() { sem_post(raw) }
  func wait() { while sem_wait(raw) != 0 {} }
}

/// Threads that stay, because starting one takes longer than a history.
final class ActorThreads: @unchecked Sendable {  // `jobs` are handed over by the semaphores
  private var jobs: [(@Sendable () -> Void)?]
  private let starts: [Semaphore]

  init(_ count: Int) throws {
    jobs = Array(repeating: nil, count: count)
    starts = (0..<count).map { _ in Semaphore() }
    for index in 0..<count {
      try startDetachedThread { [self] in
        while true {
          starts[index].wait()
          jobs[index]?()
        }
      }
    }
  }

  func run(_ index: Int, _ job: @escaping @Sendable () -> Void) {
    jobs[index] = job
    starts[index].signal()
  }
}

/// The scheduler of one history. Only the thread that holds the baton touches its state.
final class Baton: @unchecked Sendable {
  private var generator: SeededGenerator
  private var runnable: [Int] = []
  private let turns: [Semaphore]
  private let done = Semaphore()
  /// In percent: how often the running actor goes on.
  private let stickiness: Int
  /// The requests so far, for messages.
  private(set) var steps = 0
  private(set) var log: [String] = []
  let isLogging: Bool
  /// The number of the request before or after which each actor dies; nil for never.
  private var deaths: [Int: (step: Int, isAfter: Bool)]
  private var counts: [Int]

  init(
    actors: Int, seed: UInt64, stickiness: Int, deaths: [Int: (step: Int, isAfter: Bool)],
    isLogging: Bool
  ) {
    generator = SeededGenerator(seed)
    turns = (0..<actors).map { _ in Semaphore() }
    counts = Array(repeating: 0, count: actors)
    self.stickiness = stickiness
    self.deaths = deaths
    self.isLogging = isLogging
  }

  /// Runs the actors to their ends.
  func run(_ actors: [@Sendable () -> Void], on threads: ActorThreads) {
    runnable = Array(actors.indices)
    for (index, body) in actors.enumerated() {
      threads.run(index) { [self] in
        turns[index].wait()
        body()
        runnable.removeAll { $0 == index }
        if let next = runnable.randomElement(using: &generator) {
          turns[next].signal()
        } else {
          done.signal()
        }
      }
    }
    turns[Int.random(in: 0..<actors.count, using: &generator)].signal()
    done.wait()
  }

  /// Lets another actor go on, perhaps.
  func yield(_ actor: Int) {
    if runnable.count < 2 || Int.random(in: 0..<100, using: &generator) < stickiness { return }
    guard let next = runnable.randomElement(using: &generator), next != actor else { return }
    turns[next].signal()
    turns[actor].wait()
  }

  static let crash = StorageError(.unavailable, "the actor", "has died")

  /// The hooks of an actor's storage.
  func hooks(_ actor: Int) -> MemoryObjectStorage.Hooks {
    var hooks = MemoryObjectStorage.Hooks()
    hooks.before = { [self] request throws(StorageError) in
      yield(actor)
      steps += 1
      counts[actor] += 1
      if isLogging { log.append("\(actor): \(request)") }
      if let death = deaths[actor],
        counts[actor] > death.step || counts[actor] == death.step && !death.isAfter
      {
        if isLogging { log.append("\(actor): dead") }
        throw Baton.crash
      }
    }
    hooks.after = { [self] _ throws(StorageError) in
      if let death = deaths[actor], counts[actor] >= death.step { throw Baton.crash }
    }
    return hooks
  }

  func isDead(_ actor: Int) -> Bool { deaths[actor].map { counts[actor] >= $0.step } ?? false }

  func note(_ actor: Int, _ text: @autoclosure () -> String) {
    if isLogging { log.append("\(actor): ** \(text())") }
  }

  func random<R>(_ body: (inout SeededGenerator) -> R) -> R { body(&generator) }
}
