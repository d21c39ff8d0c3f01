//! Shelving and unshelving instances.

use proto::nova::v1::CreateInstanceRequest;

use super::*;

on_both_databases!(an_instance_comes_back_as_it_was, a_long_name_is_cut, an_agent_puts_away);

async fn an_instance_comes_back_as_it_was(db: TestDb) {
    let nova = alone(db).await;
    let image = nova.glance.with(&[("os_type", "linux")]);
    let instance = nova.active(&image).await;
    nova.glance.forget(&image);
    let shelved = nova.shelve(&instance.id).await.unwrap();
    assert_eq!(shelved.state(), State::ShelvedOffloaded);
    let made = nova.glance.find(&shelved.system_metadata["shelved_image_id"]).unwrap();
    assert_eq!(made.name, "web-shelved");
    assert!(!made.properties.contains_key("shelved_at"));
    assert_wrong_state(&nova.shelve(&instance.id).await.unwrap_err(), "SHELVED_OFFLOADED", "");
    let back = nova.unshelve(&instance.id).await.unwrap();
    assert_eq!(content(&back), content(&instance));
    assert_eq!(nova.glance.find(&made.id), None);
}

async fn a_long_name_is_cut(db: TestDb) {
    let nova = alone(db).await;
    let image = nova.glance.with(&[]);
    for (characters, kept) in [(247, 247), (248, 247), (255, 247)] {
        let request = CreateInstanceRequest { name: "é".repeat(characters), ..of(&image) };
        let shelved = nova.shelve(&nova.create_one(request).await.id).await.unwrap();
        let made = nova.glance.find(&shelved.system_metadata["shelved_image_id"]).unwrap();
        assert_eq!(made.name, format!("{}-shelved", "é".repeat(kept)));
    }
}

async fn an_agent_puts_away(db: TestDb) {
    let nova = Nova::start(db).await;
    let instance = nova.active(&nova.glance.with(&[])).await;
    let begun = nova.shelve(&instance.id).await.unwrap();
    assert_eq!(content(&nova.end(&begun, Outcome::Failed).await), content(&instance));
    let begun = nova.shelve(&instance.id).await.unwrap();
    let shelved = nova.end(&begun, Outcome::Succeeded).await;
    assert_eq!(shelved.state(), State::ShelvedOffloaded);
    let begun = nova.unshelve(&instance.id).await.unwrap();
    let made = begun.task.as_ref().unwrap().snapshot_image_id.clone();
    assert!(nova.glance.find(&made).is_some());
    assert_eq!(content(&nova.end(&begun, Outcome::Failed).await), content(&shelved));
    let begun = nova.unshelve(&instance.id).await.unwrap();
    assert_eq!(content(&nova.end(&begun, Outcome::Succeeded).await), content(&instance));
    assert_eq!(nova.glance.find(&made), None);
}
