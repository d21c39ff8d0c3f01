//! Lists compared with a simple model: all images, filtered and sorted in memory. Images, callers, filters, orders
//! and page sizes are made up, from seeds that a failure names.

use chassis::{on_both_databases, testing::TestDb};
use proto::glance::v1::{Image, ListImagesRequest, image::Visibility};

use crate::{
    page::sorted,
    support::{Who, World},
};

on_both_databases!(every_list_is_as_in_the_model);

/// More than are looked ahead for the sparsest way, so that any way may be it.
const IMAGES: usize = 230;

const LISTS: u64 = 120;

const CALLERS: [Who; 9] = [
    Who::OWNER,
    Who::PENDING,
    Who::ACCEPTED,
    Who::REJECTED,
    Who::STRANGER,
    Who::ADMIN,
    Who::NOBODY,
    Who::new("root", "owner", "admin"),
    Who::new("x", "", "member"),
];

const VISIBILITIES: [Visibility; 4] =
    [Visibility::Public, Visibility::Private, Visibility::Shared, Visibility::Community];

const NAMES: [&str; 5] = ["a", "b", "B", "é", "zz"];

/// Orders, each with its keys, `true` if descending.
const ORDERS: [(&str, &[(&str, bool)]); 9] = [
    ("", &[("create_time", true)]),
    ("create_time desc", &[("create_time", true)]),
    ("create_time", &[("create_time", false)]),
    ("create_time desc, id", &[("create_time", true), ("id", false)]),
    ("name, create_time desc", &[("name", false), ("create_time", true)]),
    ("name", &[("name", false)]),
    ("size desc, name, id desc", &[("size", true), ("name", false), ("id", true)]),
    ("status, update_time desc", &[("status", false), ("update_time", true)]),
    ("id desc", &[("id", true)]),
];

/// Numbers that look random (`SplitMix64`).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(sides).unwrap()).unwrap()
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.roll(choices.len())]
    }

    fn happens(&mut self, percent: usize) -> bool {
        self.roll(100) < percent
    }
}

/// An image, and whether it is or was shared with the three projects that answered differently.
struct Known {
    image: Image,
    is_shared: bool,
}

fn draw(dice: &mut Dice) -> Image {
    let os = if dice.happens(80) { "linux" } else { "windows" };
    let mut properties =
        vec![("os", os.to_owned()), ("disk", dice.one_of(&["scsi", "ide", "ide"]).to_owned())];
    if dice.happens(4) {
        properties.push(("rare", "x".repeat(dice.one_of(&[1, 254, 255, 256]))));
    }
    let tags = [("often", 70), ("seldom", 10)];
    Image {
        name: dice.one_of(&NAMES).to_owned(),
        owner: dice.one_of(&["owner", "owner", "stranger", "accepted", ""]).to_owned(),
        visibility: dice.one_of(&VISIBILITIES).into(),
        os_hidden: dice.happens(10),
        disk_format: "raw".to_owned(),
        container_format: "bare".to_owned(),
        size: dice.one_of(&[None, Some(0), Some(7)]),
        properties: properties.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        tags: tags
            .into_iter()
            .filter(|(_, percent)| dice.happens(*percent))
            .map(|(tag, _)| tag.to_owned())
            .collect(),
        ..Default::default()
    }
}

async fn images(world: &World, dice: &mut Dice) -> Vec<Known> {
    let mut known = Vec::new();
    for _ in 0..IMAGES {
        let image = draw(dice);
        let is_shared = image.owner == "owner" && dice.happens(60);
        if !is_shared {
            known.push(Known { image: world.create(image).await.unwrap(), is_shared });
            continue;
        }
        let shared = Image { visibility: Visibility::Shared.into(), ..image.clone() };
        let shared = world.create(shared).await.unwrap();
        world.share(&shared.id).await;
        let change = Image { id: shared.id, visibility: image.visibility, ..Default::default() };
        known.push(Known { image: world.update(change, &["visibility"]).await.unwrap(), is_shared });
    }
    known
}

/// A list: its request, and what the model says of each image.
struct List {
    who: Who,
    request: ListImagesRequest,
    keys: &'static [(&'static str, bool)],
    visibility: &'static str,
    member_status: &'static str,
    conditions: Vec<(&'static str, String)>,
}

impl List {
    fn draw(dice: &mut Dice) -> Self {
        let (order_by, keys) = dice.one_of(&ORDERS);
        let mut list = Self {
            who: dice.one_of(&CALLERS),
            request: ListImagesRequest {
                page_size: dice.one_of(&[1, 3, 7, 20, 1000]),
                order_by: order_by.to_owned(),
                ..Default::default()
            },
            keys,
            visibility: dice.one_of(&["", "", "", "all", "public", "private", "shared", "community"]),
            member_status: dice.one_of(&["", "", "pending", "accepted", "rejected", "all"]),
            conditions: Vec::new(),
        };
        for (field, values, percent) in [
            ("properties.os", &["linux", "windows", "none"][..], 30),
            ("properties.disk", &["scsi", "ide"], 30),
            ("properties.rare", &["1", "254", "255", "256"], 10),
            ("tags", &["often", "seldom", "never"], 25),
            ("os_hidden", &["true"], 10),
            ("name", &NAMES[..4], 15),
            ("owner", &["owner", "stranger"], 10),
        ] {
            if dice.happens(percent) {
                let value = dice.one_of(values);
                let is_long = field == "properties.rare";
                list.conditions.push((
                    field,
                    if is_long { "x".repeat(value.parse().unwrap()) } else { value.to_owned() },
                ));
            }
        }
        list.request.filter = list.filter();
        list
    }

    fn filter(&self) -> String {
        let named = [("visibility", self.visibility), ("member_status", self.member_status)];
        let named = named.into_iter().filter(|(_, value)| !value.is_empty());
        let named = named.map(|(field, value)| format!("{field} = {value}"));
        let conditions = self.conditions.iter().map(|(field, value)| match *field {
            "tags" => format!("tags:{value}"),
            field => format!("{field} = \"{value}\""),
        });
        named.chain(conditions).collect::<Vec<_>>().join(" AND ")
    }

    fn shows(&self, known: &Known) -> bool {
        let image = &known.image;
        self.sees(known)
            && image.os_hidden == self.conditions.iter().any(|(field, _)| *field == "os_hidden")
            && self.conditions.iter().all(|(field, value)| match *field {
                "tags" => image.tags.contains(value),
                "name" => image.name == *value,
                "owner" => image.owner == *value,
                "os_hidden" => true,
                field => image.properties.get(field.trim_start_matches("properties.")) == Some(value),
            })
    }

    /// Glance's rule of lists.
    fn sees(&self, Known { image, is_shared }: &Known) -> bool {
        let is_admin = self.who == Who::NOBODY || self.who.roles.contains("admin");
        let visibility = image.visibility().as_str_name().to_ascii_lowercase();
        let is_own = !self.who.project.is_empty() && image.owner == self.who.project;
        let is_listed = match self.visibility {
            "" => visibility != "community" || is_own,
            "all" => true,
            only => visibility == only,
        };
        let wanted = if self.member_status.is_empty() { "accepted" } else { self.member_status };
        let is_member = *is_shared
            && ["pending", "accepted", "rejected"].contains(&self.who.project)
            && (wanted == "all" || wanted == self.who.project);
        let is_seen = is_admin
            || is_own
            || matches!(visibility.as_str(), "public" | "community")
            || visibility == "shared" && is_member;
        is_listed && is_seen
    }

    async fn walk(&self, world: &World) -> Vec<String> {
        let (mut client, mut request) = (world.grpc(self.who), self.request.clone());
        let mut ids = Vec::new();
        loop {
            let page = client.list_images(request.clone()).await.unwrap().into_inner();
            ids.extend(page.images.into_iter().map(|image| image.id));
            if page.next_page_token.is_empty() {
                return ids;
            }
            request.page_token = page.next_page_token;
        }
    }
}

async fn every_list_is_as_in_the_model(db: TestDb) {
    let world = World::start(db).await;
    let known = images(&world, &mut Dice(0)).await;
    for seed in 1..=LISTS {
        let list = List::draw(&mut Dice(seed));
        let shown: Vec<_> =
            known.iter().filter(|known| list.shows(known)).map(|known| known.image.clone()).collect();
        let expected: Vec<_> = sorted(&shown, list.keys).into_iter().map(|image| image.id).collect();
        assert_eq!(list.walk(&world).await, expected, "seed {seed}: {:?} of {:?}", list.request, list.who);
    }
}
