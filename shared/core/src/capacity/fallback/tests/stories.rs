//! Spot goes short and has room again, over hours.

use super::*;

/// Spot, a service on it and its twin, minute by minute.
struct Story {
    desired: u32,
    /// For how many tasks Spot has room.
    room: u32,
    running: u32,
    twin: u32,
    memory: Memory,
    /// What the twin was asked to have, and when.
    asked: Vec<(i64, u32)>,
}

impl Story {
    fn of(desired: u32) -> Self {
        Self {
            desired,
            room: desired,
            running: desired,
            twin: 0,
            memory: Memory::default(),
            asked: Vec::new(),
        }
    }

    /// Tasks that Spot has no room for are gone, and those that it has room for come.
    fn minute(&mut self, minute: i64, made: bool) -> Result<(), TestCaseError> {
        self.running = self.desired.min(self.room);
        let lacking = self.desired - self.running;
        let decided = look(
            &twin_rule(),
            &spot(self.desired, self.running),
            self.twin,
            &self.memory,
            minute * 60,
        );
        self.memory = decided.memory.clone();
        if let Some(count) = count(&decided) {
            if count > self.twin {
                prop_assert!(count <= lacking, "{count} of {lacking}");
            }
            let most = self.desired.max(self.running + self.twin);
            prop_assert!(self.running + count <= most, "{} and {count} of {most}", self.running);
            if made {
                self.asked.push((minute, count));
                self.twin = count;
            }
        }
        Ok(())
    }
}

#[test]
fn a_shortage_that_comes_and_goes() {
    let mut story = Story::of(10);
    // From when on Spot has room for how many. All of it goes, in two steps; a little comes back, for too short a while; it
    // comes back for good.
    let rooms = [(0, 10), (10, 6), (15, 2), (60, 8), (65, 2), (90, 8), (95, 10)];
    let room = |minute| {
        rooms
            .iter()
            .rfind(|(from, _)| *from <= minute)
            .map_or(0, |(_, room)| *room)
    };
    for minute in 0..150 {
        story.room = room(minute);
        story.minute(minute, true).unwrap();
    }
    // 4 are lacking for 2 minutes from minute 10, 8 from minute 15; 2 from 90 to 95 and none since: from minute 100 the twin
    // keeps what was lacking at most, and 10 minutes later none.
    assert_eq!(story.asked, [(12, 4), (17, 8), (100, 2), (111, 0)]);
    assert_eq!((story.memory, story.twin), (Memory::default(), 0));
}

#[test]
fn a_spot_that_flickers_moves_nothing() {
    let mut story = Story::of(10);
    for minute in 0..240 {
        story.room = if minute % 2 == 0 { 5 } else { 10 };
        story.minute(minute, true).unwrap();
    }
    assert_eq!(story.asked, []);
    // Nor does it once tasks run in the twin.
    for minute in 240..250 {
        story.room = 5;
        story.minute(minute, true).unwrap();
    }
    for minute in 250..400 {
        story.room = if minute % 5 == 0 { 5 } else { 10 };
        story.minute(minute, true).unwrap();
    }
    assert_eq!(story.asked, [(242, 5)]);
}

#[test]
fn a_strategy_comes_back_more_and_more_rarely_while_spot_is_short() {
    let rule = strategy_rule();
    let (mut on, mut memory, mut moves) = ("FARGATE_SPOT", Memory::default(), Vec::new());
    for minute in 0..1_200 {
        let short = (10..600).contains(&minute) && on == "FARGATE_SPOT";
        let service = service(4, if short { 1 } else { 4 }, short.then_some(NO_PLACE), on);
        let decided = look(&rule, &service, 0, &memory, minute * 60);
        memory = decided.memory.clone();
        match provider(&decided).as_deref() {
            Some("FARGATE") => on = "FARGATE",
            Some(_) => on = "FARGATE_SPOT",
            None => continue,
        }
        moves.push((minute, on == "FARGATE"));
    }
    let away: Vec<_> = moves
        .iter()
        .filter(|(_, away)| *away)
        .map(|(minute, _)| *minute)
        .collect();
    let home: Vec<_> = moves
        .iter()
        .filter(|(_, away)| !away)
        .map(|(minute, _)| *minute)
        .collect();
    let stays: Vec<_> = away.iter().zip(&home).map(|(away, home)| home - away).collect();
    // 10 minutes, then twice as long each time, up to 16 times.
    assert_eq!(stays, [10, 20, 40, 80, 160, 160, 160]);
    assert_eq!((on, memory), ("FARGATE_SPOT", Memory::default()));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever Spot does, and whichever calls are lost: the twin gets no more than is lacking, both together are never to
    /// have more than is wanted or ran already, what comes back has been there for `return-after`, and in the end the twin has
    /// none.
    #[test]
    fn no_task_too_many_and_none_too_soon(
        steps in proptest::collection::vec((0..12_u32, 1..30_i64, any::<bool>()), 1..20),
        desired in 1..12_u32,
    ) {
        let mut story = Story::of(desired);
        let (mut minute, mut rooms) = (0, Vec::new());
        for (room, minutes, made) in steps {
            for _ in 0..minutes {
                story.room = room;
                rooms.push(desired.min(room));
                let before = story.twin;
                story.minute(minute, made)?;
                if story.twin < before {
                    // For ten minutes no more was lacking than the twin keeps.
                    let last = &rooms[rooms.len().saturating_sub(11)..];
                    prop_assert!(last.len() == 11 && last.iter().all(|running| desired - running <= story.twin));
                }
                if story.twin > before {
                    let last = &rooms[rooms.len().saturating_sub(3)..];
                    prop_assert!(last.len() == 3 && last.iter().all(|running| desired - running >= story.twin));
                }
                minute += 1;
            }
        }
        for _ in 0..30 {
            story.room = desired;
            story.minute(minute, true)?;
            minute += 1;
        }
        prop_assert_eq!((story.twin, story.memory), (0, Memory::default()));
    }
}
